"""What became of the published numbers and claims: one verdict for each."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.reporting import names, published
from dmlbench.reporting.published.read import (
    Claim,
    Match,
    Part,
    Published,
    is_match,
    read_published,
)
from dmlbench.reporting.stamped import write_csv
from dmlbench.reporting.statistics import compare, summarize

REPRODUCED, WITHIN, NOT = "reproduced", "within interval", "not reproduced"
NOT_RUN, NO_NUMBER, OTHER = "not run", "no number published", "other network"
ORDER = [REPRODUCED, WITHIN, NOT, OTHER, NO_NUMBER, NOT_RUN]
#: Percentage points: seeds of one method differ by about as much on most datasets.
TOLERANCE = 1.0
EXPLAINED = (
    f"A number is reproduced when our mean is within {TOLERANCE:g} percentage point of it, and "
    "within interval when it is farther but our 95% interval over seeds holds it. A claim that one "
    "method is better than another is reproduced when the paired difference over seeds has the "
    "published sign and its 95% interval leaves 0 out, and within interval when it holds the "
    "published difference. One seed has no interval. Numbers of another network than ours are "
    "told, not judged."
)
COLUMNS = [
    "kind", "source", "claim", "experiment", "part", "metric", "selection", "published", "ours",
    "half_width", "seeds", "verdict",
]  # fmt: skip


def verdicts(plan: Plan, metrics: pd.DataFrame) -> pd.DataFrame:
    """A row for every published claim and number, percentages; also of what this config lacks.

    Args:
        plan: The config.
        metrics: The collected metrics of all runs.
    """
    rows = []
    for name in sorted(file.stem for file in Path(published.__file__).parent.glob("*.yaml")):
        table = read_published(name)
        experiments = [e for e, x in plan.benchmark.experiments.items() if name in x.published]
        for experiment in experiments:
            finder = _Finder(plan, experiment, table, metrics)
            rows += [row for claim in table.claims for row in finder.claim(claim)]
            rows += list(finder.numbers())
        if not experiments:
            rows += [
                {"kind": "claim", "source": table.source, "claim": c.text, "verdict": NOT_RUN}
                for c in table.claims
            ] or [{"kind": "number", "source": table.source, "claim": "all", "verdict": NOT_RUN}]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values("verdict", key=lambda v: v.map(ORDER.index), kind="stable")


def write_verdicts(plan: Plan) -> pd.DataFrame:
    """Write the verdicts of a config as CSV; returns them."""
    metrics = pd.read_parquet(paths.summary(plan.benchmark.name, "metrics"))
    table = verdicts(plan, metrics)
    write_csv(paths.local(paths.verdicts(plan.benchmark.name)), table, "%.4f")
    return table


class _Finder:
    """What an experiment has to hold against a published table."""

    def __init__(
        self, plan: Plan, experiment: str, table: Published, metrics: pd.DataFrame
    ) -> None:
        self.plan, self.experiment, self.table = plan, experiment, table
        dataset = plan.benchmark.experiments[experiment].dataset
        chosen = table.selection in plan.benchmark.selections
        self.selection = table.selection if chosen else plan.control_selection
        mine = metrics[metrics["selection"] == self.selection]
        self.metrics = mine[mine["dataset"] == dataset]
        self.parts = [part for part in table.parts if part.part[0] == dataset]
        self.words = names.methods(plan, experiment)

    def claim(self, claim: Claim) -> Iterator[dict]:
        """A claim that one method is better, on each part where the paper has numbers of both."""
        if claim.worse is None or claim.better is None:
            yield self._row("claim", claim.text, verdict=NO_NUMBER)
            return
        found = False
        for part in self.parts:
            if claim.part not in (None, part.part) or claim.metric not in part.columns:
                continue
            theirs = [_value(part, match, claim.metric) for match in (claim.worse, claim.better)]
            if None in theirs:
                continue
            found = True
            yield self._better(claim, part, theirs[1] - theirs[0])
        if not found:
            yield self._row("claim", claim.text, verdict=NO_NUMBER)

    def _better(self, claim: Claim, part: Part, difference: float) -> dict:
        about = {"part": part.part, "metric": claim.metric, "published": difference}
        pair = [
            self._seeds(self._method(m), part, claim.metric) for m in (claim.worse, claim.better)
        ]
        both = sorted(set(pair[0].index) & set(pair[1].index))
        if not both:
            return self._row("claim", claim.text, **about, verdict=NOT_RUN)
        ours = compare(*(values[both].to_numpy() for values in pair)).difference
        half = ours.half_width
        shown = half is not None and abs(ours.mean) > half
        if shown and np.sign(ours.mean) == np.sign(difference):
            verdict = REPRODUCED
        else:
            verdict = WITHIN if _holds(ours.mean, half, difference) else NOT
        numbers = {"ours": ours.mean, "half_width": half, "seeds": ours.n}
        return self._row("claim", claim.text, **about, **numbers, verdict=verdict)

    def numbers(self) -> Iterator[dict]:
        """Every published number of a method of ours."""
        for part in self.parts:
            for row in part.rows:
                method = next((m for m in map(self._method, row.match) if m), None)
                for metric, value in zip(part.columns, row.values, strict=True):
                    if value is None:
                        continue
                    about = {"part": part.part, "metric": metric, "published": value}
                    values = self._seeds(method, part, metric)
                    if not len(values):
                        yield self._row("number", row.name, **about, verdict=NOT_RUN)
                        continue
                    ours = summarize(values.to_numpy())
                    close = abs(ours.mean - value) <= TOLERANCE
                    within = WITHIN if _holds(ours.mean, ours.half_width, value) else NOT
                    numbers = {"ours": ours.mean, "half_width": ours.half_width, "seeds": ours.n}
                    verdict = REPRODUCED if close else within
                    if self.table.other_network(self.plan.recipes[method[0]]):
                        verdict = OTHER
                    yield self._row("number", row.name, **about, **numbers, verdict=verdict)

    def _method(self, match: Match) -> tuple[str, str, str] | None:
        """The first of our methods that a published one is."""
        plan = self.plan
        for method in self.words:
            if is_match(match, plan.losses[method[1]], plan.samplers[method[2]]):
                return method
        return None

    def _seeds(self, method: tuple | None, part: Part, metric: str) -> pd.Series:
        """Our percentages by seed; empty where there are none, or where they mean another thing."""
        _, split, subset, label = part.part
        there = self.metrics
        name, _, k = metric.partition("@")
        if name == "nmi_plus":
            theirs = self.table.protocol.get("nmi_plus", {}).get(label)
            if theirs != self.plan.benchmark.evaluation.nmi_plus_of(label):
                method = None
        if method is None:
            return pd.Series(dtype=float)
        mask = (there["split"] == split) & (there["subset"] == subset)
        mask &= (there["label"] == label) & (there["metric"] == name)
        if k:
            mask &= there["k"] == int(k)
        for column, value in zip(("recipe", "loss", "sampler"), method, strict=True):
            mask &= there[column] == value
        return 100 * there[mask].set_index("seed")["value"].dropna()

    def _row(self, kind: str, claim: str, part: tuple | None = None, **others: object) -> dict:
        where = names.part(*part[1:]) if part else None
        return {
            "kind": kind,
            "source": self.table.source,
            "claim": claim,
            "experiment": self.experiment,
            "part": where,
            "selection": self.selection,
            **others,
        }


def _value(part: Part, match: Match, metric: str) -> float | None:
    """The published value of a method."""
    rows = [row for row in part.rows if match in row.match]
    values = dict(zip(part.columns, rows[0].values, strict=True)) if rows else {}
    return values.get(metric)


def _holds(mean: float, half_width: float | None, value: float) -> bool:
    return half_width is not None and abs(mean - value) <= half_width
