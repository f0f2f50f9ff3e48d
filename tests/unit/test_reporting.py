"""Statistics, tables and names."""

import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dmlbench import paths
from dmlbench.config import resolve_config
from dmlbench.errors import DataError
from dmlbench.reporting import names
from dmlbench.reporting.latex import escape, latex_table
from dmlbench.reporting.statistics import Summary, summarize
from dmlbench.reporting.tables import cell_text, cells, markdown, parse_cell, write_tables


@given(st.lists(st.floats(0, 100), min_size=2, max_size=10))
def test_interval_is_scipys(values):
    summary = summarize(np.array(values))
    assert summary.mean == pytest.approx(np.mean(values))
    if np.ptp(values) > 1e-6:
        low, high = stats.t.interval(
            0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
        )
        assert summary.half_width == pytest.approx((high - low) / 2)


def test_one_seed_has_no_interval_and_nan_no_mean():
    assert summarize(np.array([5.0])).half_width is None
    for bad in ([], [np.nan], [1.0, np.inf]):
        with pytest.raises(ValueError, match="finite"):
            summarize(np.array(bad))


@given(
    st.floats(0, 100),
    st.none() | st.floats(0, 99),
    st.none() | st.floats(0, 100),
)
def test_a_cell_can_be_read_back(mean, half, published):
    read = parse_cell(cell_text(Summary(mean, half, 3), published))
    for number, expected in zip(read, (mean, half, published), strict=True):
        assert (number is None) == (expected is None)
        if number is not None:
            assert number == pytest.approx(expected, abs=0.0501)


@pytest.fixture
def plan(smoke_config):
    smoke_config["experiments"]["even_odd"] |= {
        "published": "eps_table1",
        "dataset": "mnist_even_odd",
    }
    smoke_config["experiments"]["even_odd"]["title"] = "50% of a_b & #1"
    return resolve_config(smoke_config, "test")


@pytest.fixture
def metrics(plan):
    """Made metrics: the value tells method, seed, selection and part."""
    rows = []
    for run in plan.runs.values():
        for selection in plan.benchmark.selections:
            for subset in ("seen", "unseen"):
                for metric, k in [("recall", 1), ("recall", 5), ("nmi", 6), ("nmi_plus", 30)]:
                    value = 0.5 + 0.01 * run.seed + 0.1 * (run.sampler == "eps") + k / 1000
                    rows.append(
                        {"selection": selection, "split": "test", "subset": subset}
                        | {"label": "digit", "metric": metric, "k": k, "value": value, "note": ""}
                        | run.__dict__
                    )
    return pd.DataFrame(rows)


def test_cells_hold_mean_interval_and_published_number(plan, metrics):
    table = cells(plan, "even_odd", metrics)
    assert len(table) == 2 * 3 * 2 * 4
    cell = table[
        (table["sampler"] == "eps")
        & (table["selection"] == "val")
        & (table["subset"] == "seen")
        & (table["metric"] == "recall")
        & (table["k"] == 1)
    ].iloc[0]
    assert cell["mean"] == pytest.approx(100 * (0.6 + 0.005 + 0.001))
    assert cell["half_width"] == pytest.approx(stats.t.ppf(0.975, 1) * 0.5)
    assert (cell["n"], cell["published"], cell["method"]) == (2, 65.8, "Triplet + EPS")


def test_a_missing_seed_is_refused_and_named(plan, metrics):
    gap = metrics[(metrics["seed"] != 1) | (metrics["sampler"] != "eps")]
    with pytest.raises(DataError, match=r"Triplet \+ EPS has seeds \[0\] of \[0, 1\]"):
        cells(plan, "even_odd", gap)
    with pytest.raises(DataError, match="no metrics of Triplet"):
        cells(plan, "even_odd", metrics[metrics["sampler"] != "eps"])


def test_markdown_and_csv_say_the_same(plan, metrics, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    summary = tmp_path / paths.summary("smoke", "metrics")
    summary.parent.mkdir(parents=True)
    metrics.to_parquet(summary)
    write_tables(plan, "even_odd")
    long = pd.read_csv(paths.table("smoke", "even_odd", "csv"))
    text = (tmp_path / paths.table("smoke", "even_odd", "md")).read_text()
    assert text == markdown(plan, "even_odd", cells(plan, "even_odd", metrics))
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| Triplet")]
    printed = [parse_cell(cell.strip()) for row in rows for cell in row[1:]]
    blocks = long.groupby(["selection", "split", "subset", "label", "method"], sort=False)
    order = [cell for _, block in blocks for cell in block.itertuples()]
    assert len(printed) == len(order) == len(long)
    by_part = sorted(
        order, key=lambda c: (list(dict.fromkeys(long["selection"])).index(c.selection), c.subset)
    )
    for (mean, half, published), cell in zip(printed, by_part, strict=True):
        assert mean == pytest.approx(cell.mean, abs=0.0501)
        assert half == pytest.approx(cell.half_width, abs=0.0501)
        assert (published is None) == np.isnan(cell.published)


def test_latex_compiles_without_overfull_boxes(plan, metrics, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    table = latex_table(plan, "even_odd", cells(plan, "even_odd", metrics), "50% & more")
    assert r"50\% of a\_b \& \#1" in table
    (tmp_path / "t.tex").write_text(
        r"\documentclass[10pt]{article}\usepackage{booktabs,siunitx}\begin{document}"
        + table
        + r"\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_special_characters_are_escaped():
    assert escape(r"a_b & 5% {x}~^\#$") == (
        r"a\_b \& 5\% \{x\}\textasciitilde{}\textasciicircum{}\textbackslash{}\#\$"
    )


def test_methods_with_the_same_words_are_told_apart(smoke_config):
    smoke_config["samplers"]["eps_two"] = dict(smoke_config["samplers"]["eps"])
    smoke_config["experiments"]["even_odd"]["methods"][0]["sampler"].append("eps_two")
    plan = resolve_config(smoke_config, "test")
    words = [names.method(plan, *m, "even_odd") for m in plan.methods["even_odd"]]
    assert len(set(words)) == 3
    assert "eps_two" in words[2]
