"""What became of the published numbers and claims: one verdict for each."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import METHOD_KEYS, Plan
from dmlbench.reporting import names, published
from dmlbench.reporting.cells import rows_where
from dmlbench.reporting.published.read import (
    Claim,
    Match,
    Part,
    Published,
    is_match,
    read_published,
)
from dmlbench.reporting.stamped import write_csv
from dmlbench.reporting.statistics import Summary, compare, summarize

REPRODUCED, WITHIN, NOT = "reproduced", "within interval", "not reproduced"
NOT_RUN, NO_NUMBER, OTHER = "not run", "no number published", "other network"
ORDER = [REPRODUCED, WITHIN, NOT, OTHER, NO_NUMBER, NOT_RUN]
#: Percentage points: seeds of one method differ by about as much on most datasets.
TOLERANCE = 1.0
EXPLAINED = (
    f"A number is reproduced when our mean is within {TOLERANCE:g} percentage point of it. It is "
    "within interval when our mean is farther, but our 95% interval over seeds holds it. A claim "
    "that one method is better is reproduced when the paired difference over seeds has the "
    "published sign and its 95% interval does not hold 0. It is within interval when that interval "
    "holds the published difference. One seed has no interval. Numbers of another network are "
    "shown but not judged."
)
COLUMNS = [
    "kind", "source", "claim", "experiment", "part", "metric", "selection", "published", "ours",
    "half_width", "seeds", "verdict",
]  # fmt: skip


def verdicts(plan: Plan, metrics: pd.DataFrame) -> pd.DataFrame:
    """A row for every published claim and number, in percent; also for those that nothing here is.

    Args:
        plan: The config.
        metrics: The collected metrics of all runs.
    """
    rows = []
    for name in sorted(file.stem for file in Path(published.__file__).parent.glob("*.yaml")):
        table = read_published(name)
        experiments = [e for e, x in plan.benchmark.experiments.items() if name in x.published]
        for experiment in experiments:
            held = _Held(plan, experiment, table, metrics)
            rows += [*held.claims(), *held.numbers()]
        if not experiments:
            told = [("claim", claim.text) for claim in table.claims] or [("number", "all")]
            about = {"source": table.source, "verdict": NOT_RUN}
            rows += [{"kind": kind, "claim": text} | about for kind, text in told]
    found = pd.DataFrame(rows, columns=COLUMNS)
    return found.sort_values("verdict", key=lambda v: v.map(ORDER.index), kind="stable")


def write_verdicts(plan: Plan) -> pd.DataFrame:
    """Write the verdicts of a config as CSV; returns them."""
    metrics = pd.read_parquet(paths.summary(plan.benchmark.name, "metrics"))
    table = verdicts(plan, metrics)
    write_csv(paths.local(paths.verdicts(plan.benchmark.name)), table, "%.4f")
    return table


class _Held:
    """A published table held against the runs of one experiment."""

    def __init__(
        self, plan: Plan, experiment: str, table: Published, metrics: pd.DataFrame
    ) -> None:
        self.plan, self.experiment, self.table = plan, experiment, table
        dataset = plan.benchmark.experiments[experiment].dataset
        chosen = table.selection in plan.benchmark.selections
        self.selection = table.selection if chosen else plan.control_selection
        self.metrics = rows_where(metrics, dataset=dataset, selection=self.selection)
        self.parts = [part for part in table.parts if part.part[0] == dataset]

    def claims(self) -> Iterator[dict]:
        """Each claim that one method is better, on every part that has numbers of both."""
        for claim in self.table.claims:
            told = list(self._claim(claim)) if claim.worse and claim.better else []
            yield from told or [self._row("claim", claim.text, verdict=NO_NUMBER)]

    def _claim(self, claim: Claim) -> Iterator[dict]:
        for part in self.parts:
            if claim.part not in (None, part.part) or claim.metric not in part.columns:
                continue
            theirs = [part.value(match, claim.metric) for match in (claim.worse, claim.better)]
            if None in theirs:
                continue
            pair = [self._seeds(m, part, claim.metric) for m in (claim.worse, claim.better)]
            both = pd.concat(pair, axis=1, join="inner").to_numpy()
            found = {"verdict": NOT_RUN}
            if len(both):
                ours = compare(*both.T).difference
                found = _numbers(ours) | {"verdict": _claimed(ours, theirs[1] - theirs[0])}
            about = {"metric": claim.metric, "published": theirs[1] - theirs[0]}
            yield self._row("claim", claim.text, part, **about, **found)

    def numbers(self) -> Iterator[dict]:
        """Each published number, beside that of the method of ours that is the same."""
        for part in self.parts:
            for row in part.rows:
                for metric, value in zip(part.columns, row.values, strict=True):
                    if value is not None:
                        about = {"metric": metric, "published": value}
                        found = self._number(row.match, part, metric, value)
                        yield self._row("number", row.name, part, **about, **found)

    def _number(self, matches: list[Match], part: Part, metric: str, value: float) -> dict:
        match = next((m for m in matches if self._method(m)), None)
        values = self._seeds(match, part, metric) if match else []
        if not len(values):
            return {"verdict": NOT_RUN}
        ours = summarize(values.to_numpy())
        verdict = WITHIN if _holds(ours, value) else NOT
        if abs(ours.mean - value) <= TOLERANCE:
            verdict = REPRODUCED
        if self.table.other_network(self.plan.recipes[self._method(match)[0]]):
            verdict = OTHER
        return _numbers(ours) | {"verdict": verdict}

    def _method(self, match: Match) -> tuple[str, str, str] | None:
        """The first of our methods that is a published one."""
        plan = self.plan
        for method in plan.methods[self.experiment]:
            if is_match(match, plan.losses[method[1]], plan.samplers[method[2]]):
                return method
        return None

    def _seeds(self, match: Match, part: Part, metric: str) -> pd.Series:
        """Our percentages by seed; empty where there are none, or of another metric."""
        _, split, subset, label = part.part
        name, _, k = metric.partition("@")
        method = self._method(match)
        if method is None or not self.table.same_metric(self.plan, name, label):
            return pd.Series(dtype=float)
        where = {"split": split, "subset": subset, "label": label, "metric": name}
        where |= dict(zip(METHOD_KEYS, method, strict=True)) | ({"k": int(k)} if k else {})
        return 100 * rows_where(self.metrics, **where).set_index("seed")["value"].dropna()

    def _row(self, kind: str, claim: str, part: Part | None = None, **others: object) -> dict:
        about = {"kind": kind, "source": self.table.source, "claim": claim}
        about |= {"experiment": self.experiment, "selection": self.selection}
        return about | {"part": names.part(*part.part[1:]) if part else None} | others


def _claimed(ours: Summary, theirs: float) -> str:
    """The verdict on a difference between two methods."""
    shown = ours.half_width is not None and abs(ours.mean) > ours.half_width
    if shown and np.sign(ours.mean) == np.sign(theirs):
        return REPRODUCED
    return WITHIN if _holds(ours, theirs) else NOT


def _numbers(ours: Summary) -> dict:
    return {"ours": ours.mean, "half_width": ours.half_width, "seeds": ours.n}


def _holds(ours: Summary, value: float) -> bool:
    """Whether our interval holds a value."""
    return ours.half_width is not None and abs(ours.mean - value) <= ours.half_width
