"""Rules: the files are what jobs wrote."""

from collections.abc import Iterator

from dmlbench.checking.check import Breach, rule, run_rule
from dmlbench.checking.results import Measured, Results, part_of
from dmlbench.paths import METRICS_FILE
from dmlbench.workflow.job_records import MEASURE_AGAIN, TRAIN_AGAIN

_WHOLE = 1e-6  #: how far rounding may take a number of queries from a whole one


@run_rule("R19", "Recall@K times the number of queries is a whole number.", since="1.1")
def whole(results: Results, one: Measured) -> Iterator[str]:
    queries = {part_of(part): part["queries"] for part in one.metrics["parts"]}
    for row in one.recalls():
        asked = queries.get(part_of(row), 0)  # a part that is missing is another rule's
        found = row["value"] * asked
        if abs(found - round(found)) > _WHOLE:
            where = " ".join(filter(None, (row["selection"], *part_of(row))))
            yield f"{where}: R@{row['k']} would be {found:.3f} of {asked:,} queries"


@rule("R20", "Records, metrics and histories are what their jobs wrote.", since="1.1")
def unaltered(results: Results) -> Iterator[Breach]:
    for one in results.measured.values():
        for name in one.altered:
            remedy = MEASURE_AGAIN if name == METRICS_FILE else TRAIN_AGAIN
            yield Breach(one.run.id, f"{name} was changed after it was written", remedy)
