"""How many seeds show a difference: what a lab asks before it spends."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from dmlbench.checking.results import PART, Results
from dmlbench.reporting import names
from dmlbench.reporting.statistics import CONFIDENCE, seeds_needed

#: Points of Recall@1.
DIFFERENCES = (0.5, 1.0, 2.0)


def of_results(results: Results) -> Iterator[dict]:
    """A row for each experiment and part of its test: how Recall@1 differs, and what that needs.

    By the paired differences between every two methods of an experiment over the seeds that both
    have, at the first selection of the config. ``spread`` is their pooled standard deviation in
    points, and ``upper`` its upper 95% bound: with few seeds nobody knows it well. As pairs share
    their methods, the bound has the degrees of freedom of one pair. A part without two methods of
    two seeds has no row.
    """
    plan = results.plan
    for experiment, measured in results.comparisons():
        table = pd.DataFrame(
            {**{key: row[key] for key in PART}, "method": one.run.method, "seed": one.run.seed}
            | {"value": 100 * row["value"]}
            for one in measured
            for row in one.recalls()
            if one.run.trained
            and one.run.method in plan.methods[experiment]
            and row["k"] == 1
            and row["split"] == "test"
            and row["selection"] == plan.benchmark.selections[0]
        )
        for part, rows in table.groupby(list(PART), sort=False) if len(table) else ():
            found = spread(rows.pivot_table("value", "seed", "method"))
            if found:
                yield {"experiment": experiment, "part": names.part(*part), **found}


def spread(values: pd.DataFrame) -> dict | None:
    """Spread of the paired differences of seeds x methods; see :func:`of_results`.

    None where no two methods have two seeds.
    """
    pairs = itertools.combinations(values.columns, 2)
    differences = [(values[a] - values[b]).dropna().to_numpy() for a, b in pairs]
    differences = [each for each in differences if len(each) > 1]
    if not differences:
        return None
    freedom = [len(each) - 1 for each in differences]
    squares = [each.var(ddof=1) * free for each, free in zip(differences, freedom, strict=True)]
    pooled = math.sqrt(sum(squares) / sum(freedom))
    one = float(np.median(freedom))
    upper = pooled * math.sqrt(one / stats.chi2.ppf(1 - CONFIDENCE, one))
    return {"pairs": len(differences), "seeds": int(one) + 1, "spread": pooled, "upper": upper}


def seeds_for(difference: float, deviation: float) -> str:
    """How many seeds show a difference at a standard deviation of the paired differences."""
    needed = seeds_needed(difference / deviation) if deviation else 2
    return "more than 1,000" if needed is None else str(needed)
