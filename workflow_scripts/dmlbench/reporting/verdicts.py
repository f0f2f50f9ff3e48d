"""What became of the published numbers and claims: one verdict for each."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import METHOD_KEYS, Plan
from dmlbench.reporting import names
from dmlbench.reporting.cells import rows_where
from dmlbench.reporting.published import read
from dmlbench.reporting.published.read import Claim, Match, Method, Part, Published
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

    ``metrics`` are the collected metrics of all runs.
    """
    rows = []
    for name in sorted(file.stem for file in Path(read.__file__).parent.glob("*.yaml")):
        table = read.read_published(name)
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
    table = verdicts(plan, pd.read_parquet(paths.summary(plan.benchmark.name, "metrics")))
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
        pair, metric = (claim.worse, claim.better), claim.metric
        for part in self.parts:
            theirs = [part.value(match, metric) for match in pair]
            if claim.part not in (None, part.part) or None in theirs:
                continue
            difference, found = theirs[1] - theirs[0], {"verdict": NOT_RUN}
            ours = [self._seeds(self._method([match]), part, metric) for match in pair]
            both = pd.concat(ours, axis=1, join="inner").to_numpy()
            if len(both):
                found = _claimed(compare(*both.T).difference, difference)
            yield self._row("claim", claim.text, part, metric, difference, **found)

    def numbers(self) -> Iterator[dict]:
        """Each published number, beside that of the method of ours that is the same."""
        for part in self.parts:
            for row in part.rows:
                for metric, value in zip(part.columns, row.values, strict=True):
                    if value is not None:
                        found = self._number(row.match, part, metric, value)
                        yield self._row("number", row.name, part, metric, value, **found)

    def _number(self, matches: list[Match], part: Part, metric: str, value: float) -> dict:
        method = self._method(matches)
        values = self._seeds(method, part, metric)
        if values.empty:
            return {"verdict": NOT_RUN}
        ours = summarize(values)
        verdict = WITHIN if _holds(ours, value) else NOT
        if abs(ours.mean - value) <= TOLERANCE:
            verdict = REPRODUCED
        if self.table.other_network(self.plan.recipes[method[0]]):
            verdict = OTHER
        return _judged(ours, verdict)

    def _method(self, matches: list[Match]) -> Method | None:
        """The first of our methods that is a published one."""
        plan, experiment = self.plan, self.experiment
        return next((x for m in matches for x in read.methods_of(plan, experiment, m)), None)

    def _seeds(self, method: Method | None, part: Part, metric: str) -> pd.Series:
        """Our percentages by seed; empty where there are none, or of another metric."""
        _, split, subset, label = part.part
        name, _, k = metric.partition("@")
        if method is None or not self.table.same_metric(self.plan, name, label):
            return pd.Series(dtype=float)
        where = {"split": split, "subset": subset, "label": label, "metric": name}
        where |= dict(zip(METHOD_KEYS, method, strict=True)) | ({"k": int(k)} if k else {})
        return 100 * rows_where(self.metrics, **where).set_index("seed")["value"].dropna()

    def _row(
        self, kind: str, claim: str, part: Part | None = None, metric: str | None = None,
        published: float | None = None, **found: object,
    ) -> dict:  # fmt: skip
        about = {"kind": kind, "source": self.table.source, "claim": claim, "metric": metric}
        about |= {"experiment": self.experiment, "selection": self.selection}
        where = names.part(*part.part[1:]) if part else None
        return about | {"part": where, "published": published} | found


def _claimed(ours: Summary, theirs: float) -> dict:
    """The verdict on a difference between two methods."""
    shown = ours.half_width is not None and abs(ours.mean) > ours.half_width
    if shown and np.sign(ours.mean) == np.sign(theirs):
        return _judged(ours, REPRODUCED)
    return _judged(ours, WITHIN if _holds(ours, theirs) else NOT)


def _judged(ours: Summary, verdict: str) -> dict:
    of_ours = {"ours": ours.mean, "half_width": ours.half_width, "seeds": ours.n}
    return of_ours | {"verdict": verdict}


def _holds(ours: Summary, value: float) -> bool:
    """Whether our interval holds a value."""
    return ours.half_width is not None and abs(ours.mean - value) <= ours.half_width
