"""Statistics equal SciPy's and statsmodels' on the raw values."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from dmlbench.reporting.statistics import MOST_SEEDS, compare, holm, more_seeds, summarize

VALUES = st.floats(0, 100).map(lambda value: round(value, 6))  # closer ones count as equal


@given(st.lists(VALUES, min_size=2, max_size=10))
def test_interval_is_scipys(values):
    summary = summarize(np.array(values))
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.sd == pytest.approx(np.std(values, ddof=1))
    if np.ptp(values) > 1e-6:
        low, high = stats.t.interval(
            0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
        )
        assert summary.half_width == pytest.approx((high - low) / 2)


def test_one_seed_has_no_interval_and_nan_no_mean():
    summary = summarize(np.array([5.0]))
    np.testing.assert_equal((summary.mean, summary.sd, summary.half_width), (5.0, np.nan, np.nan))
    for bad in ([], [np.nan], [1.0, np.inf]):
        with pytest.raises(ValueError, match="finite"):
            summarize(np.array(bad))


@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=8))
def test_a_comparison_is_scipys_on_the_raw_values(pairs):
    a, b = np.array(pairs).T
    if np.ptp(b - a) < 1e-6:
        return
    found = compare(a, b)
    assert found.difference.mean == pytest.approx(np.mean(b - a))
    assert found.p_t == pytest.approx(stats.ttest_rel(b, a).pvalue)
    assert found.effect == pytest.approx(np.mean(b - a) / np.std(b - a, ddof=1))
    # The exact test by its definition: the share of all sign flips at least as far from zero.
    flips = np.array(list(itertools.product([1, -1], repeat=len(a))))
    means = np.abs((flips * (b - a)).mean(axis=1))
    share = (means >= np.abs(np.mean(b - a)) - 1e-9).mean()
    assert found.p_exact == pytest.approx(share)


def test_more_seeds_are_those_that_statsmodels_asks_for():
    for effect in (0.4, 0.8, 1.5):
        wanted = int(np.ceil(TTestPower().solve_power(effect, alpha=0.05, power=0.8)))
        assert more_seeds(effect, 3) == more_seeds(-effect, 3) == max(0, wanted - 3)
    assert more_seeds(1e9, 2) == 0
    assert more_seeds(1e-6, 5) is None
    assert more_seeds(0.1, 5) < MOST_SEEDS


def test_what_cannot_be_tested_is_not():
    one = compare([1.0], [2.0])
    assert (one.p_t, one.p_exact, one.effect, one.more_seeds) == (None, None, None, None)
    tie = compare([1.0, 2.0, 4.0], [1.0, 2.0, 4.0])
    assert (tie.p_t, tie.p_exact, tie.effect) == (1.0, 1.0, 0.0)
    same_step = compare([1.0, 2.0, 4.0], [2.0, 3.0, 5.0])
    assert (same_step.p_t, same_step.p_exact) == (None, 0.25)
    with pytest.raises(ValueError, match="each seed"):
        compare([1.0, 2.0], [1.0])


@given(st.lists(st.none() | st.floats(0, 1), max_size=8))
def test_holm_is_statsmodels_over_what_was_tested(p_values):
    tested = [p for p in p_values if p is not None]
    expected = multipletests(tested, method="holm")[1] if tested else []
    corrected = holm(p_values)
    assert corrected.isna().tolist() == [p is None for p in p_values]
    assert corrected.dropna().tolist() == pytest.approx(list(expected))
