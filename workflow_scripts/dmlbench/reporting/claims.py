"""What papers claim: the paired tests of it, and a verdict for each published claim and number."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dmlbench import paths
from dmlbench.config import METHOD_KEYS, Plan
from dmlbench.reporting import names, published
from dmlbench.reporting.cells import BLOCK, COLUMN, by_seed, rows_where, table_values
from dmlbench.reporting.matching import match_row
from dmlbench.reporting.published import (
    Claim,
    Match,
    Method,
    Published,
    PublishedPart,
    Row,
    methods_of,
)
from dmlbench.reporting.statistics import NO_SEEDS, Comparison, Summary, compare, holm, summarize

REPRODUCED, WITHIN, NOT = "reproduced", "within interval", "not reproduced"
NOT_RUN, NO_NUMBER, OTHER = "not run", "no number published", "other settings"
ORDER = [REPRODUCED, WITHIN, NOT, OTHER, NO_NUMBER, NOT_RUN]
#: Percentage points: seeds of one method differ by about as much on most datasets.
TOLERANCE = 1.0
COLUMNS = [
    "kind", "source", "claim", "experiment", "part", "metric", "selection", "published", "ours",
    "half_width", "seeds", "verdict",
]  # fmt: skip


class MethodPair(NamedTuple):
    """Two methods; the claim is that the second is better."""

    worse: Method
    better: Method


def claimed_pairs(plan: Plan, experiment: str) -> list[MethodPair]:
    """The pairs that the experiment's published tables claim or compare, and EPS against none.

    EPS against none: two methods whose samplers differ in their positives only, easy for one.
    """
    both = itertools.product(plan.methods[experiment], repeat=2)
    found = [MethodPair(worse, better) for worse, better in both if _adds_eps(plan, worse, better)]
    for table in published.published_of(plan, experiment):
        for claim in [*table.claims, *table.comparisons]:
            if claim.worse and claim.better:
                found += _matching(plan, experiment, claim.worse, claim.better)
    # A pair that is claimed both ways (for two parts, say) is one test.
    return list({frozenset(pair): pair for pair in reversed(found)}.values())[::-1]


def _matching(plan: Plan, experiment: str, worse: Match, better: Match) -> Iterator[MethodPair]:
    """Our pairs that are two published methods; if these share their loss, so must ours."""
    same_loss = (worse.loss, worse.options) == (better.loss, better.options)
    for first in methods_of(plan, experiment, worse):
        for second in methods_of(plan, experiment, better):
            if not same_loss or first[1] == second[1]:
                yield MethodPair(first, second)


def _adds_eps(plan: Plan, worse: Method, better: Method) -> bool:
    """Whether the second method is the first with easy positives."""
    if worse[:2] != better[:2]:
        return False
    a, b = (dict(plan.samplers[method[2]]) for method in (worse, better))
    positives = (a.pop("positive") or {}).get("type"), (b.pop("positive") or {}).get("type")
    return a == b and positives[1] == "easy" and positives[0] not in (None, "easy")


def paired_tests(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """A row for each claimed pair, selection, part and metric that a table prints.

    Columns: selection, split, subset, label, metric, k; worse and better (in words, and the names
    of recipe, loss and sampler); n (seeds of both) and planned; difference (better - worse) and
    half_width; p_t, p_exact, effect, more_seeds; p_t_holm and p_exact_holm, corrected over all rows
    of one metric.
    """
    mine, words = table_values(plan, experiment, metrics), names.methods(plan, experiment)
    pairs = claimed_pairs(plan, experiment)
    if not pairs:
        return pd.DataFrame()
    rows = []
    for key, group in mine.groupby([*BLOCK, *COLUMN], sort=False):
        values = by_seed(group).reindex(columns=list(words))
        for pair in pairs:
            both = values[list(pair)].dropna()
            found = compare(*both.to_numpy().T) if len(both) else Comparison(NO_SEEDS)
            row = dict(zip([*BLOCK, *COLUMN], key, strict=True))
            row |= {"worse": words[pair.worse], "better": words[pair.better]}
            for place, method in pair._asdict().items():
                row |= {f"{place}_{n}": v for n, v in zip(METHOD_KEYS, method, strict=True)}
            told = dict(vars(found))
            difference = told.pop("difference")
            row |= {"n": difference.n, "planned": len(plan.benchmark.seeds)}
            row |= {"difference": difference.mean, "half_width": difference.half_width}
            rows.append(row | told)
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    # NMI's k is a number of clusters, which differs between parts; Recall@K's is another metric.
    k = table["k"].where(table["metric"] == "recall", 0)
    for test in ("p_t", "p_exact"):
        by_metric = table[test].astype(float).groupby([table["metric"], k])
        table[f"{test}_holm"] = by_metric.transform(holm)
    return table


def verdicts(plan: Plan, metrics: pd.DataFrame) -> pd.DataFrame:
    """A row for every published claim and number, in percent; also for those that we did not run.

    ``metrics`` are the collected metrics of all runs.
    """
    rows = []
    for name in sorted(file.stem for file in Path(published.__file__).parent.glob("*.yaml")):
        table = published.read_published(name)
        experiments = [e for e, x in plan.benchmark.experiments.items() if name in x.published]
        for experiment in experiments:
            judge = _Judge(plan, experiment, table, metrics)
            rows += [*judge.claims(), *judge.numbers()]
        if not experiments:
            told = [("claim", claim.text) for claim in table.claims] or [("number", "all")]
            about = {"source": table.source, "verdict": NOT_RUN}
            rows += [{"kind": kind, "claim": text} | about for kind, text in told]
    found = pd.DataFrame(rows, columns=COLUMNS)
    return found.sort_values("verdict", key=lambda v: v.map(ORDER.index), kind="stable")


class _Judge:
    """Compares a published table with the runs of one experiment."""

    def __init__(
        self, plan: Plan, experiment: str, table: Published, metrics: pd.DataFrame
    ) -> None:
        self.plan, self.experiment, self.table = plan, experiment, table
        dataset = plan.benchmark.experiments[experiment].dataset
        self.metrics = rows_where(metrics, dataset=dataset)
        self.parts = [part for part in table.parts if part.part[0] == dataset]
        self.selection = self._selection(None)

    def _selection(self, row: Row | None) -> str:
        """Where a row's numbers are compared: at its epoch, if that is kept; else that of controls.

        None stands for the table's claims.
        """
        wanted = (row and row.selection) or self.table.selection
        kept = self.plan.benchmark.selections
        selection = wanted if wanted in kept else self.plan.control_selection
        return paths.body_of(selection) if row and row.features == "body" else selection

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
            methods = [self._method([match]) for match in pair]
            ours = [self._seeds(method, part, metric, self.selection) for method in methods]
            both = pd.concat(ours, axis=1, join="inner").to_numpy()
            if len(both):
                mine = compare(*both.T).difference
                shown = abs(mine.mean) > mine.half_width and mine.mean * difference > 0
                found = _judged(mine, difference, shown)
            yield self._row("claim", claim.text, part, metric, difference, **found)

    def numbers(self) -> Iterator[dict]:
        """Each published number, beside that of our method that is the same."""
        for part in self.parts:
            for row in part.rows:
                same, other = match_row(self.plan, self.experiment, self.table, row)
                method, selection = next(iter([*same, *other]), None), self._selection(row)
                for metric, value in part.numbers(row).items():
                    found = {"verdict": NOT_RUN}
                    values = self._seeds(method, part, metric, selection)
                    if len(values):
                        ours = summarize(values)
                        found = _judged(ours, value, abs(ours.mean - value) <= TOLERANCE)
                        found |= {} if same else {"verdict": OTHER}
                    about = self._row("number", row.name, part, metric, value, **found)
                    yield about | {"selection": selection}

    def _method(self, matches: list[Match]) -> Method | None:
        """The first of our methods that is a published one."""
        found = (methods_of(self.plan, self.experiment, match) for match in matches)
        return next(itertools.chain.from_iterable(found), None)

    def _seeds(
        self, method: Method | None, part: PublishedPart, metric: str, selection: str
    ) -> pd.Series:
        """Our percentages by seed; empty where there are none, or the metric is another one."""
        _, split, subset, label = part.part
        name, _, k = metric.partition("@")
        if method is None or not self.table.same_metric(self.plan, name, label):
            return pd.Series(dtype=float)
        where = {"split": split, "subset": subset, "label": label, "metric": name}
        where |= {"selection": selection}
        where |= dict(zip(METHOD_KEYS, method, strict=True)) | ({"k": int(k)} if k else {})
        return 100 * rows_where(self.metrics, **where).set_index("seed")["value"].dropna()

    def _row(
        self, kind: str, claim: str, part: PublishedPart | None = None, metric: str | None = None,
        published: float | None = None, **found: object,
    ) -> dict:  # fmt: skip
        about = {"kind": kind, "source": self.table.source, "claim": claim, "metric": metric}
        about |= {"experiment": self.experiment, "selection": self.selection}
        where = names.part(*part.part[1:]) if part else None
        return about | {"part": where, "published": published} | found


def _judged(ours: Summary, value: float, reproduced: bool) -> dict:
    """Ours, and the verdict on a published value; one seed has no interval that could hold it."""
    verdict = WITHIN if abs(ours.mean - value) <= ours.half_width else NOT
    verdict = REPRODUCED if reproduced else verdict
    mine = {"ours": ours.mean, "half_width": ours.half_width, "seeds": ours.n}
    return mine | {"verdict": verdict}
