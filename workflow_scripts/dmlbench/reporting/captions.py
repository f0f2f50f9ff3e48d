"""What stands below tables: how to read them, which runs are missing, which tests are printed."""

import textwrap
from collections.abc import Iterator

import pandas as pd

from dmlbench.checking.ledger import OK
from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.cells import BLOCK
from dmlbench.reporting.formats import OUTSIDE
from dmlbench.reporting.published.read import Published, published_of
from dmlbench.version import STAMP

#: More missing runs are counted, not named: the ledger has them all.
_NAMED = 5
#: Letters of a reason that are printed.
_REASON = 90

TESTS_CAPTION = (
    "Each row compares two methods over the seeds that both have. Difference: mean in points ± "
    "half of the 95% t-interval. p (t): paired t-test. p (exact): exact sign-flip test, which for "
    "n seeds is never below 2 / 2^n. Both are Holm-corrected over all rows of this table. d: "
    "effect size, the mean difference over its standard deviation. More seeds: how many more an "
    "effect of this size needs to show at p < 0.05 with 80% power. The CSV file has all metrics; "
    f"each is corrected by itself. {STAMP}"
)


def caption(plan: Plan, experiment: str, long: pd.DataFrame, gaps: list[str]) -> str:
    """How to read an experiment's table."""
    seeds = len(plan.benchmark.seeds)
    parts = [partial(gaps), "Percent; one seed, so no interval and no test."]
    if seeds > 1:
        parts[1] = (
            f"Percent; mean over {seeds} seeds ± half of the 95% t-interval. Bold: better than "
            "every other method (paired t-tests, Holm-corrected over the block of rows, p < 0.05)."
        )
    if plan.controls[experiment]:
        parts.append("Controls are one run with the first seed.")
    parts.append(names.legend(plan, experiment))
    if sources := list(dict.fromkeys(long.loc[long["published"].notna(), "source"])):
        parts.append(
            f"In brackets: the published number ({'; '.join(sources)}) and the difference, ours "
            f"minus published ({OUTSIDE}: our interval does not hold the published number)."
        )
    recipes = [plan.recipes[method[0]] for method in plan.methods[experiment]]
    parts += _not_comparable(published_of(plan, experiment), recipes)
    if (long["metric"] == "r_precision").any():
        parts.append("RP: R-precision.")
    for label in long.loc[long["metric"] == "nmi_plus", "label"].head(1):
        factor = plan.benchmark.evaluation.nmi_plus_of(label)
        parts.append(f"NMI+ uses {factor} clusters per class.")
    return " ".join(filter(None, [*parts, STAMP]))


def _not_comparable(tables: list[Published], recipes: list[dict]) -> Iterator[str]:
    """A sentence for published tables without numbers, and one for those of other networks."""
    if silent := [table.source for table in tables if not table.parts]:
        yield f"Without published numbers: {'; '.join(silent)}."
    if other := [t for t in tables if t.parts and any(map(t.other_network, recipes))]:
        theirs = ", ".join(dict.fromkeys(table.protocol["backbone"] for table in other))
        ours = ", ".join(dict.fromkeys(recipe["backbone"] for recipe in recipes))
        yield (
            f"{'; '.join(table.source for table in other)}: another network ({theirs}; ours: "
            f"{ours}), so compare the differences between methods, not the levels."
        )


def missing_runs(plan: Plan, experiment: str | None, ledger: pd.DataFrame) -> list[str]:
    """The missing runs of an experiment's table, each with its state and reason; None: of all.

    ``ledger`` is the ledger as a table.
    """
    runs = list(plan.all_runs.values())
    if experiment is not None:
        runs = [*plan.experiment_runs(experiment), *plan.controls[experiment].values()]
    found = ledger.set_index("run").loc[[run.id for run in runs]]
    gaps = found[found["state"] != OK]
    return [
        f"{g.Index}: {g.state}, {textwrap.shorten(g.reason, _REASON, placeholder=' ...')}"
        for g in gaps.itertuples()
    ]


def partial(gaps: list[str]) -> str:
    """That a table lacks runs, and which; empty where it lacks none."""
    if not gaps:
        return ""
    named = gaps[:_NAMED]
    if len(gaps) > _NAMED:
        named.append(f"and {len(gaps) - _NAMED} more in summary/ledger.csv")
    return (
        f"PARTIAL: {len(gaps)} runs are missing ({'; '.join(named)}). (k/n): k of n planned seeds "
        "are there."
    )


def headline(tests: pd.DataFrame) -> pd.DataFrame:
    """The tests of the first metric of each part, which is Recall@1 where it is measured."""
    first = tests.groupby(BLOCK, sort=False)[["metric", "k"]].transform("first")
    return tests[(tests["metric"] == first["metric"]) & (tests["k"] == first["k"])]
