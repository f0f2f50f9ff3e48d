"""Means with intervals over seeds, and tests of two methods that are paired by seed."""

import gc
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

CONFIDENCE = 0.95
ALPHA = 0.05  #: a difference counts as shown when its corrected p is below this
POWER = 0.8  #: at which "more seeds" would show a difference of the size seen
#: A smaller difference is none: metrics are shares of thousands of queries, in percent.
_ROUNDING = 1e-9
MOST_SEEDS = 1000  #: more are not counted: nobody trains them


@dataclass(frozen=True)
class Summary:
    """A mean over ``n`` seeds."""

    mean: float  # NaN without seeds
    sd: float  # with n - 1; NaN for one seed
    half_width: float  # of the 95% t-interval; NaN for one seed
    n: int


NO_SEEDS = Summary(math.nan, math.nan, math.nan, 0)


def summarize(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and 95% t-interval of ``values``, one per seed.

    Raises:
        ValueError: There are no values, or one is not finite.
    """
    values = np.asarray(values, dtype=float)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"need finite values, got {values}")
    sd = float(values.std(ddof=1)) if values.size > 1 else math.nan
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, values.size - 1))
    return Summary(float(values.mean()), sd, sd / values.size**0.5 * quantile, values.size)


@dataclass(frozen=True)
class Comparison:
    """``b`` against ``a`` over the same seeds; None for one seed, or where a test needs spread."""

    difference: Summary  # of b - a
    p_t: float | None = None  # two-sided, of the paired t-test
    p_exact: float | None = None  # two-sided, of the exact sign-flip test; never below 2 / 2^n
    effect: float | None = None  # Cohen's d_z: mean / standard deviation of the differences
    more_seeds: int | None = None  # see :func:`more_seeds`


def compare(a: Sequence[float], b: Sequence[float]) -> Comparison:
    """Compare two methods; ``a[i]`` and ``b[i]`` are of one seed.

    Raises:
        ValueError: They are not equally many, there are none, or one is not finite.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"need one value of each method for each seed, got {a} and {b}")
    difference = summarize(b - a)
    if difference.n == 1:
        return Comparison(difference)
    if np.abs(b - a).max() < _ROUNDING:
        return Comparison(difference, p_t=1.0, p_exact=1.0, effect=0.0)
    if np.ptp(b - a) < _ROUNDING:
        return Comparison(difference, p_exact=_exact(a, b))
    effect = difference.mean / difference.sd
    p_t = float(stats.ttest_rel(b, a).pvalue)
    return Comparison(difference, p_t, _exact(a, b), effect, more_seeds(effect, difference.n))


def _exact(a: np.ndarray, b: np.ndarray) -> float:
    """All 2^n sign flips up to 13 seeds, then 9,999 random ones; equal means count as equal."""
    test = stats.permutation_test(
        (b, a),
        lambda x, y, axis: np.round(np.mean(x - y, axis=axis), 9),
        permutation_type="samples",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def more_seeds(effect: float, n: int) -> int | None:
    """How many more seeds than ``n`` would show this effect (:func:`seeds_needed`)."""
    needed = seeds_needed(effect)
    return None if needed is None else max(0, needed - n)


def seeds_needed(effect: float) -> int | None:
    """How many seeds show an effect (Cohen's d_z) with 80% power at p < 0.05: paired t-test.

    Two at least; None for more than ``MOST_SEEDS``.
    """

    def power(seeds: int) -> float:
        # A huge effect underflows to NaN; its power is 1.
        return np.nan_to_num(TTestPower().power(abs(effect), seeds, ALPHA), nan=1.0)

    counts = range(2, MOST_SEEDS + 1)
    place = bisect_left(counts, POWER, key=power)
    return counts[place] if place < len(counts) else None


def holm(p_values: Sequence[float | None]) -> pd.Series:
    """Holm's correction over one family of tests; what was not tested is NaN."""
    corrected = pd.Series(p_values, dtype=float)
    if (tested := corrected.notna()).any():
        # multipletests collects garbage on each call: 0.1 s where pandas has made many objects.
        gc.freeze()
        corrected[tested] = multipletests(corrected[tested], method="holm")[1]
    return corrected


def supported_best(columns: Sequence[pd.DataFrame]) -> list:
    """In each column of a table, the best method where tests support that it is the best, or None.

    Each of ``columns`` has values of seeds x methods; higher is better. Paired t-tests compare the
    method with the highest mean with each other one, Holm-corrected over all columns together;
    every p must be below 0.05. One method, one seed, a missing value or a tie cannot be tested.
    """
    p_values = [_against_best(values) for values in columns]
    corrected = iter(holm([p for some in p_values for p in some]))
    shown = [bool(some) and max(next(corrected) for _ in some) < ALPHA for some in p_values]
    return [v.mean().idxmax() if good else None for v, good in zip(columns, shown, strict=True)]


def _against_best(values: pd.DataFrame) -> list[float]:
    """p of the best method against each other one; empty where it cannot be tested."""
    if min(values.shape) < 2 or values.isna().any(axis=None):
        return []
    best = values.mean().idxmax()
    differences = -values.drop(columns=best).sub(values[best], axis=0).to_numpy()
    if (np.ptp(differences, axis=0) < _ROUNDING).any():  # a tie, or no spread
        return []
    return np.atleast_1d(stats.ttest_1samp(differences, 0, axis=0).pvalue).tolist()
