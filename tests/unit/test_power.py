"""How many seeds show a difference."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from conftest import run_script
from made_results import make_results
from scipy import stats

from dmlbench.checking.results import Results
from dmlbench.config import resolve_config
from dmlbench.reporting.power import of_results, seeds_for, spread
from dmlbench.reporting.statistics import seeds_needed


def test_so_many_seeds_and_not_one_less_show_a_difference():
    """Drawn tests: the share that is significant is 80% there, and below with a seed less."""
    needed = int(seeds_for(1.0, 1.2))
    draws = np.random.default_rng(0).normal(1.0, 1.2, (40_000, needed))
    shares = [
        (stats.ttest_1samp(draws[:, :seeds], 0, axis=1).pvalue < 0.05).mean()
        for seeds in (needed, needed - 1)
    ]
    assert shares[0] >= 0.8 - 0.005
    assert shares[1] < 0.8


def test_the_spread_is_pooled_over_all_pairs_and_seeds_that_both_have():
    values = pd.DataFrame(np.random.default_rng(1).normal(50, [1, 2, 4], (6, 3)), columns=[*"abc"])
    values.loc[0, "c"] = math.nan
    found, squares, freedom = spread(values), 0.0, 0
    for a, b in itertools.combinations("abc", 2):
        differences = [x - y for x, y in zip(values[a], values[b], strict=True)]
        differences = [d for d in differences if not math.isnan(d)]
        mean = sum(differences) / len(differences)
        squares += sum((d - mean) ** 2 for d in differences)
        freedom += len(differences) - 1
    assert found["pairs"] == 3
    assert found["spread"] == pytest.approx(math.sqrt(squares / freedom), rel=1e-12)


def test_the_bound_lies_above_the_true_spread_in_95_of_100_cases():
    draws = np.random.default_rng(2).normal(0, 3.0, (2000, 5, 2))
    bounds = [spread(pd.DataFrame(each))["upper"] for each in draws]
    assert np.mean(np.array(bounds) > 3.0 * math.sqrt(2)) == pytest.approx(0.95, abs=0.015)


def test_equal_methods_need_two_seeds_and_tiny_differences_too_many():
    assert seeds_for(0.5, 0.0) == "2"
    assert seeds_for(0.5, 20.0) == "more than 1,000"
    assert seeds_needed(50.0) == 2


def test_each_part_of_a_test_has_its_row(smoke_config, tmp_path):
    plan = resolve_config(smoke_config, "smoke")
    make_results(plan, tmp_path / "made")
    rows = list(of_results(Results.read(plan, tmp_path / "made")))
    assert [row["part"] for row in rows] == ["seen digits", "unseen digits"]
    assert {row["seeds"] for row in rows} == {2}


def test_without_results_the_spread_has_to_be_stated(smoke_config, tmp_path):
    (tmp_path / "smoke.yaml").write_text(json.dumps(smoke_config))
    asked = ("plan", "power", "--config", "smoke.yaml")
    done = run_script(*asked, cwd=tmp_path)
    assert done.returncode == 2
    assert "no two methods" in done.stderr
    assert "--spread 0.8" in done.stderr
    done = run_script(*asked, "--spread", "0.8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "23" in done.stdout
    assert run_script(*asked, "--spread", "-1", cwd=tmp_path).returncode == 2
