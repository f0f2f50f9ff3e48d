"""What tables say of themselves: captions, gaps, and which tests are printed."""

import textwrap
from typing import NamedTuple

import pandas as pd

from dmlbench.checking.ledger import OK
from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.cells import BLOCK
from dmlbench.reporting.published.read import published_of
from dmlbench.version import STAMP

#: Behind the difference to a published number that our interval does not hold.
OUTSIDE = "*"

#: More missing runs are counted, not named: the ledger has them all.
_NAMED = 5
#: Letters of a reason that a caption prints.
_REASON = 90

TESTS_CAPTION = (
    "Of pairs over the same seeds: the difference in points with its 95% t-interval; p of the "
    "paired t-test and of the exact sign-flip test (for n seeds at least 2 / 2^n), each "
    "Holm-corrected over all rows of this table; effect size d (mean difference / its "
    "standard deviation); and how many more seeds an effect of this size would need (80% power at "
    "p < 0.05, one test). All metrics: the CSV, each corrected by itself. "
    f"{STAMP}"
)


def caption(plan: Plan, experiment: str, long: pd.DataFrame, gaps: list[str]) -> str:
    """What the numbers of an experiment's table are."""
    planned = len(plan.benchmark.seeds)
    parts = ["Percent; one seed, so no interval and no test."]
    if planned > 1:
        parts = [
            f"Percent; mean over {planned} seeds ± half of the 95% t-interval. Bold: better than "
            "every other method (paired t-tests, Holm-corrected over the block, p < 0.05)."
        ]
    if gaps:
        parts = [partial(gaps), *parts]
    if plan.controls[experiment]:
        parts.append("Controls: one run, the first seed.")
    if legend := names.legend(plan, experiment):
        parts.append(legend)
    if sources := list(dict.fromkeys(long.loc[long["published"].notna(), "source"])):
        parts.append(
            f"Published: {'; '.join(sources)}; with ours less it ({OUTSIDE}: outside our interval)."
        )
    recipes = [plan.recipes[method[0]] for method in plan.methods[experiment]]
    for table in published_of(plan, experiment):
        if not table.parts:
            parts.append(f"{table.source}: no numbers are published.")
        elif any(map(table.other_network, recipes)):
            ours = ", ".join(dict.fromkeys(recipe["backbone"] for recipe in recipes))
            parts.append(
                f"{table.source} is of another network ({table.protocol['backbone']}) than "
                f"ours ({ours}): read the differences between methods, not the levels."
            )
    if (long["metric"] == "nmi_plus").any():
        label = long.loc[long["metric"] == "nmi_plus", "label"].iloc[0]
        factor = plan.benchmark.evaluation.nmi_plus_of(label)
        parts.append(f"NMI+ uses {factor} clusters per class.")
    return " ".join([*parts, STAMP])


def is_outside(cell: dict) -> bool:
    """Whether there is an interval, and it does not hold the published number."""
    return not pd.isna(cell["covered"]) and not cell["covered"]


def missing_runs(plan: Plan, experiment: str | None, ledger: pd.DataFrame) -> list[str]:
    """The planned runs of a table that are not there, in words, with state and reason.

    Args:
        plan: The config.
        experiment: Whose table; None of all experiments together.
        ledger: The ledger as a table.
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
    """That a table lacks runs, and which; empty where it does not."""
    if not gaps:
        return ""
    named = gaps[:_NAMED]
    if len(gaps) > _NAMED:
        named.append(f"and {len(gaps) - _NAMED} more in summary/ledger.csv")
    return (
        f"PARTIAL: {len(gaps)} runs are missing ({'; '.join(named)}). k/n: so many of the planned "
        "seeds are there."
    )


def pair_words(test: NamedTuple) -> str:
    """A row's name in a table of paired tests, with k/n where seeds are missing."""
    there = f" ({test.n}/{test.planned})" if test.n < test.planned else ""
    return f"{test.better} − {test.worse}{there}"  # noqa: RUF001


def headline(tests: pd.DataFrame) -> pd.DataFrame:
    """The tests of the first metric of each part, which is Recall@1 where it is measured."""
    first = tests.groupby(BLOCK, sort=False)[["metric", "k"]].transform("first")
    return tests[(tests["metric"] == first["metric"]) & (tests["k"] == first["k"])]
