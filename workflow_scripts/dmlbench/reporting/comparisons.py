"""Is one method better than another? Paired tests over the seeds that both were trained with.

Seeds pair: two methods of one seed start from the same weights and, where they compose batches
alike, see the same batches.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from dmlbench.reporting.statistics import Summary, summarize

#: A difference counts as shown when its corrected p is below this.
ALPHA = 0.05
#: The chance with which the seeds that are asked for would show a difference of the size seen.
POWER = 0.8
#: Less is no difference: shares are counts over thousands, in percent.
_ROUNDING = 1e-9
#: More seeds than this are not counted: nobody trains them.
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Comparison:
    """``b`` against ``a`` over the same seeds.

    Attributes:
        difference: b - a: mean, spread and interval over seeds of the paired differences.
        p_t: Two-sided p of the paired t-test; None for one seed, and where all differences are the
            same, so that there is no spread to hold the mean against.
        p_exact: Two-sided p of the exact sign-flip permutation test of the mean difference; it is
            never below 2 / 2^n (0.25 for 3 seeds, 0.0625 for 5). None for one seed.
        effect: Cohen's d of the differences, mean / standard deviation (d_z); None without spread.
        more_seeds: How many seeds, beyond those there are, would show an effect of this size with
            80% power at p < 0.05 (paired t); 0 where these suffice, None where more than
            ``MOST_SEEDS`` would be needed or there is no effect size.
    """

    difference: Summary
    p_t: float | None
    p_exact: float | None
    effect: float | None
    more_seeds: int | None


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
        return Comparison(difference, None, None, None, None)
    if np.abs(b - a).max() < _ROUNDING:
        return Comparison(difference, 1.0, 1.0, 0.0, None)
    if np.ptp(b - a) < _ROUNDING:
        return Comparison(difference, None, _exact(a, b), None, None)
    effect = difference.mean / difference.sd
    p_t = float(stats.ttest_rel(b, a).pvalue)
    return Comparison(difference, p_t, _exact(a, b), effect, more_seeds(effect, difference.n))


def _exact(a: np.ndarray, b: np.ndarray) -> float:
    """All 2^n sign flips up to 13 seeds, then 9,999 random ones."""
    test = stats.permutation_test(
        (b, a),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def more_seeds(effect: float, n: int) -> int | None:
    """See :class:`Comparison`."""
    power = TTestPower()

    def suffices(seeds: int) -> bool:
        # Of a huge effect the noncentral t underflows to NaN; its power is 1.
        value = power.power(abs(effect), seeds, ALPHA)
        return bool(np.isnan(value) or value >= POWER)

    low, high = 1, MOST_SEEDS
    if not suffices(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return max(0, high - n)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction over one family of tests; None, where nothing was tested, stays None."""
    tested = [p for p in p_values if p is not None]
    if not tested:
        return list(p_values)
    # statsmodels looks for garbage before each correction, 0.1 s where pandas has made much.
    gc.freeze()
    corrected = iter(multipletests(tested, method="holm")[1].tolist())
    return [None if p is None else next(corrected) for p in p_values]


def supported_best(columns: Sequence[np.ndarray]) -> list[int | None]:
    """In each column of a table, the best method where tests support that it is.

    The best by mean is held against every other one by paired t-tests, Holm-corrected over all
    columns; it stands where each is below 0.05.

    Args:
        columns: Of each column, seeds x methods; the higher the better. NaN where there is none.

    Returns:
        The number of the method, or None: of one method or seed, of gaps, of ties.
    """
    p_values: list[float | None] = []
    sizes, winners = [], []
    for values in columns:
        found = _against_best(values)
        winners.append(int(values.mean(axis=0).argmax()) if found else None)
        p_values += found
        sizes.append(len(found))
    corrected, start, result = holm(p_values), 0, []
    for size, winner in zip(sizes, winners, strict=True):
        mine = corrected[start : start + size]
        start += size
        result.append(winner if mine and all(p < ALPHA for p in mine) else None)
    return result


def _against_best(values: np.ndarray) -> list[float]:
    """p of the best column against each other; nothing where it cannot be told."""
    if values.shape[0] < 2 or values.shape[1] < 2 or np.isnan(values).any():
        return []
    best = int(values.mean(axis=0).argmax())
    differences = values[:, [best]] - np.delete(values, best, axis=1)
    if (
        np.ptp(differences, axis=0) < _ROUNDING
    ).any():  # ties, or no spread to hold the mean against
        return []
    return np.atleast_1d(stats.ttest_1samp(differences, 0, axis=0).pvalue).tolist()
