"""The pairs of methods that an experiment makes a claim about, and their paired tests."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from dmlbench.config import METHOD_KEYS, Plan
from dmlbench.reporting import names
from dmlbench.reporting.cells import BLOCK, COLUMN, by_seed, table_values
from dmlbench.reporting.published.read import Match, Method, methods_of, published_of
from dmlbench.reporting.statistics import NO_SEEDS, Comparison, compare, holm

_TESTS = ["p_t", "p_exact"]


class Pair(NamedTuple):
    """Two methods; the claim is that the second is better."""

    worse: Method
    better: Method


def claimed_pairs(plan: Plan, experiment: str) -> list[Pair]:
    """The pairs that the experiment's published tables claim or compare, and EPS against none.

    EPS against none: two methods whose samplers differ in their positives only, easy for one.
    """
    both = itertools.product(plan.methods[experiment], repeat=2)
    found = [Pair(worse, better) for worse, better in both if _eases(plan, worse, better)]
    for table in published_of(plan, experiment):
        for claim in [*table.claims, *table.comparisons]:
            if claim.worse and claim.better:
                found += matching(plan, experiment, claim.worse, claim.better)
    # A pair that is claimed both ways (of two parts, say) is one test.
    return list({frozenset(pair): pair for pair in reversed(found)}.values())[::-1]


def matching(plan: Plan, experiment: str, worse: Match, better: Match) -> Iterator[Pair]:
    """The pairs of an experiment's methods that are two published ones.

    Where these differ in their sampling only, so must ours: not in a setting of the loss.
    """
    same_loss = (worse.loss, worse.options) == (better.loss, better.options)
    for first in methods_of(plan, experiment, worse):
        for second in methods_of(plan, experiment, better):
            if not same_loss or first[1] == second[1]:
                yield Pair(first, second)


def _eases(plan: Plan, worse: Method, better: Method) -> bool:
    """Whether the second method is the first with easy positives."""
    if worse[:2] != better[:2]:
        return False
    a, b = (dict(plan.samplers[method[2]]) for method in (worse, better))
    positives = (a.pop("positive") or {}).get("type"), (b.pop("positive") or {}).get("type")
    return a == b and positives[1] == "easy" and positives[0] not in (None, "easy")


def paired_tests(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """A row for each claimed pair, selection, part and metric that a table prints.

    Columns: selection, split, subset, label, metric, k, worse, better (in words), n (seeds of
    both) and planned, difference (better - worse, mean), half_width, p_t, p_exact, effect,
    more_seeds (see :class:`dmlbench.reporting.statistics.Comparison`), p_t_holm, p_exact_holm.
    Holm's correction is over all rows of one metric: all pairs, parts and selections.
    """
    mine, words = table_values(plan, experiment, metrics), names.methods(plan, experiment)
    pairs = claimed_pairs(plan, experiment)
    rows = []
    for key, group in mine.groupby([*BLOCK, *COLUMN], sort=False):
        values = by_seed(group).reindex(columns=list(words))
        for pair in pairs:
            both = values[list(pair)].dropna()
            found = compare(*both.to_numpy().T) if len(both) else Comparison(NO_SEEDS)
            row = dict(zip([*BLOCK, *COLUMN], key, strict=True))
            row |= {place: words[method] for place, method in pair._asdict().items()}
            for place, method in pair._asdict().items():
                row |= {f"{place}_{n}": v for n, v in zip(METHOD_KEYS, method, strict=True)}
            difference = found.difference
            row |= {"n": difference.n, "planned": len(plan.benchmark.seeds)}
            row |= {"difference": difference.mean, "half_width": difference.half_width}
            row |= {name: getattr(found, name) for name in [*_TESTS, "effect", "more_seeds"]}
            rows.append(row)
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    # NMI's k is a number of clusters, which differs between parts; Recall@K's is another metric.
    k = table["k"].where(table["metric"] == "recall", 0)
    for test in _TESTS:
        by_metric = table[test].astype(float).groupby([table["metric"], k])
        table[f"{test}_holm"] = by_metric.transform(lambda p: holm(p.tolist()))
    return table
