"""Tables: what they print is what the runs' values give, gaps and controls included."""

import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import gather, make_results
from scipy import stats
from statsmodels.stats.multitest import multipletests

from dmlbench import BENCHMARK_VERSION, paths
from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError, DataError
from dmlbench.reporting import names
from dmlbench.reporting.cells import BLOCK, cells
from dmlbench.reporting.claims import claimed_pairs, paired_tests
from dmlbench.reporting.collect import collect
from dmlbench.reporting.formats import HTML, MARKDOWN, Cell, Table, cell_text
from dmlbench.reporting.latex import LATEX, PACKAGES, latex, tex
from dmlbench.reporting.statistics import supported_best
from dmlbench.reporting.tables import headline, partial, write_overview, write_tables

EPS = "digits_even_odd/digits_8d/triplet/eps/seed1"


@pytest.fixture
def config(smoke_config):
    smoke_config["seeds"] = [0, 1, 2]
    smoke_config["experiments"]["even_odd"]["title"] = "50% of a_b & #1"
    return smoke_config


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / paths.results("smoke")


def made(config, place):
    """The plan of a config and its results, made up and collected."""
    plan = resolve_config(config, "test")
    make_results(plan, place)
    return plan


def read(experiment, suffix):
    return paths.local(paths.table("smoke", experiment, suffix)).read_text()


def plain(latex):
    """LaTeX without what lets words break."""
    return latex.replace(r"\allowbreak{}", "").replace(r"\_", "_")


def lose_seeds(place, *seeds):
    """Take the metrics of runs with EPS away."""
    for seed in seeds:
        (place / "runs" / EPS.replace("seed1", f"seed{seed}") / paths.METRICS_FILE).unlink()


def raw(place, method, selection, part, metric, k):
    """The values of a method over seeds, from the runs' own files, in percent."""
    found = []
    for seed in (0, 1, 2):
        run = f"digits_even_odd/{'/'.join(method)}/seed{seed}"
        rows = json.loads((place / "runs" / run / paths.METRICS_FILE).read_text())["metrics"]
        found += [
            100 * r["value"]
            for r in rows
            if (r["selection"], r["split"], r["subset"], r["label"], r["metric"], r["k"])
            == (selection, *part, metric, k)
        ]
    return np.array(found)


CELL = re.compile(
    r"(?:\*\*)?(?P<value>−?[\d.]+|–)(?: ± (?P<half_width>[\d.]+))?(?P<bold>\*\*)?"  # noqa: RUF001
    r"(?: \((?P<n>\d+)/(?P<planned>\d+)\))?"
    r"(?: \[(?P<published>[\d.]+), (?P<difference>[+−][\d.]+)(?P<outside>\*)?\])?"  # noqa: RUF001
)


def parse_cell(text):
    """What a cell in Markdown says: numbers, None where there is none, bold and outside."""
    match = CELL.fullmatch(text)
    assert match, f"not a table cell: {text!r}"
    found = {k: v and v.replace("−", "-") for k, v in match.groupdict().items()}  # noqa: RUF001
    told = {key: bool(found.pop(key)) for key in ("bold", "outside")}
    return {k: float(v) if v not in (None, "–") else None for k, v in found.items()} | told  # noqa: RUF001


NUMBERS = st.floats(0, 100)


@given(
    st.none() | st.floats(-5, 100),
    st.none() | st.floats(0, 99),
    st.none() | NUMBERS,
    st.booleans(),
    st.integers(0, 3),
)
def test_a_cell_can_be_read_back(value, half, published, best, n):
    nan = float("nan")
    outside = None not in (value, half, published) and abs(value - published) > half
    cell = Cell(
        nan if value is None else value, half, bold=best, note=f"({n}/3)" if n < 3 else "",
        published=nan if published is None else published, outside=outside,
    )  # fmt: skip
    read = parse_cell(cell_text(cell, MARKDOWN))
    expected = {"value": value, "n": n if n < 3 else None, "planned": 3 if n < 3 else None}
    if value is not None:
        expected |= {"half_width": half, "published": published, "bold": best}
        expected |= {"outside": published is not None and outside}
    for key, wanted in expected.items():
        assert (read[key] is None) == (wanted is None), key
        if wanted is not None:
            assert read[key] == pytest.approx(wanted, abs=0.0501), key


def test_all_formats_print_one_cell_alike():
    cell = Cell(53.94, 1.2, bold=True, note="(2/3)", published=42.0, outside=True)
    assert cell_text(cell, MARKDOWN) == "**53.9 ± 1.2** (2/3) [42.0, +11.9*]"
    assert cell_text(cell, HTML) == "<strong>53.9 ± 1.2</strong> (2/3) [42.0, +11.9*]"
    assert cell_text(cell, LATEX) == r"\bfseries 53.9 \pm 1.2{~(2/3)}"  # published: the line below
    assert [cell_text("a|b<c", m) for m in (MARKDOWN, HTML)] == [r"a\|b\<c", "a|b&lt;c"]
    told = "p < 0.05, 11.9*], snake_case, 3 * 4"
    assert cell_text(told, MARKDOWN) == told
    assert cell_text("*x* _y_ `z` <b> [u](v) \\|", MARKDOWN) == (
        r"\*x* \_y_ \`z\` \<b> [u\](v) \\\|"
    )


def test_cells_are_the_raw_values_of_the_runs(config, place):
    plan = made(config, place)
    table = cells(plan, "even_odd", gather(plan))
    methods = table[table["control"] == ""]
    assert len(methods) == 2 * 3 * 2 * 7  # methods, selections, parts, metrics
    for cell in methods.itertuples():
        method = (cell.recipe, cell.loss, cell.sampler)
        part = (cell.split, cell.subset, cell.label)
        values = raw(place, method, cell.selection, part, cell.metric, cell.k)
        low, high = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
        assert cell.mean == pytest.approx(values.mean())
        assert cell.half_width == pytest.approx((high - low) / 2)
        assert (cell.n, cell.planned) == (3, 3)


def test_columns_have_one_order_however_metrics_are_stored(config, place):
    plan = made(config, place)
    metrics = gather(plan)
    heads = []
    for stored in (metrics, metrics.sort_values(["metric", "k"], ascending=[True, False])):
        table = cells(plan, "even_odd", stored)
        heads.append(list(dict.fromkeys(table["metric"])))
        first = headline(paired_tests(plan, "even_odd", stored))
        assert set(zip(first["metric"], first["k"], strict=True)) == {("recall", 1)}
    assert heads == [["recall", "r_precision", "map_at_r", "nmi", "nmi_plus"]] * 2


def test_controls_stand_in_every_block(config, place):
    plan = made(config, place)
    table = cells(plan, "even_odd", gather(plan))
    for _, block in table.groupby(BLOCK):
        controls = block[block["control"] != ""]
        assert set(controls["control"]) == {"random", "untrained", "shuffled"}
        assert (controls["n"] == 1).all()
        assert controls["half_width"].isna().all()
    config["controls"] = []
    without = resolve_config(config, "test")
    assert len(without.all_runs) == 6
    assert (cells(without, "even_odd", gather(without))["control"] == "").all()


def test_what_is_printed_is_the_long_form(config, place):
    plan = made(config, place)
    gather(plan)
    write_tables(plan, "even_odd")
    long = pd.read_csv(paths.table("smoke", "even_odd", "csv"), keep_default_na=False)
    text = read("even_odd", "md").partition("paired tests**")[0]
    rows = [line.split("|")[1:-1] for line in text.splitlines() if re.match(r"\| [A-Z]", line)]
    printed = [parse_cell(cell.strip()) for row in rows for cell in row[1:]]
    keys = ["selection", "split", "subset", "label", "method"]
    order = [c for _, b in long.groupby(BLOCK, sort=False) for c in _by_method(b)]
    assert len(printed) == len(order) == len(long)
    assert {k: len(long[k].unique()) for k in keys}["method"] == 5
    for shown, cell in zip(printed, order, strict=True):
        assert shown["value"] == pytest.approx(float(cell.mean), abs=0.0501)
        assert shown["half_width"] == (
            pytest.approx(float(cell.half_width), abs=0.0501) if cell.half_width else None
        )
        assert shown["bold"] == (cell.best == "True" or cell.best is True)
    assert (long["benchmark_version"].astype(str) == BENCHMARK_VERSION).all()
    for suffix in ("md", "tex"):
        assert f"Benchmark version {BENCHMARK_VERSION}" in read("even_odd", suffix)


def _by_method(block):
    return [cell for _, rows in block.groupby("method", sort=False) for cell in rows.itertuples()]


def test_latex_prints_the_same_numbers(config, place):
    plan = made(config, place)
    table = cells(plan, "even_odd", gather(plan))
    write_tables(plan, "even_odd")
    lines = [x for x in read("even_odd", "tex").splitlines() if x.strip().startswith("{}Triplet")]
    printed = [re.findall(r"(?:\\bfseries )?([\d.]+) \\pm ([\d.]+)", line) for line in lines]
    printed = [row for row in printed if len(row) == 7]
    methods = table[table["control"] == ""]
    expected = []
    for _, part in methods.groupby(["split", "subset", "label"], sort=False):
        for _, block in part.groupby("selection", sort=False):
            expected += [rows for _, rows in block.groupby("method", sort=False)]
    assert len(printed) == len(expected) == 2 * 3 * 2
    for row, cells_of in zip(printed, expected, strict=True):
        for (mean, half), cell in zip(row, cells_of.itertuples(), strict=True):
            assert float(mean) == pytest.approx(cell.mean, abs=0.0501)
            assert float(half) == pytest.approx(cell.half_width, abs=0.0501)


def test_published_methods_that_are_none_of_ours_stand_below(config, place):
    config["recipes"]["digits_8d"]["embedding_dim"] = 2  # as the paper has
    config["experiments"]["even_odd"] |= {
        "published": ["eps_table1"],
        "dataset": "mnist_even_odd",
    }
    config["experiments"]["even_odd"]["methods"][0]["sampler"] = ["random"]
    plan = made(config, place)
    gather(plan)
    write_tables(plan, "even_odd")
    for suffix in ("md", "tex"):
        text = read("even_odd", suffix)
        below = text.split("published, not run here: Levi et al., ICCV 2021, Table 1")[1]
        assert re.match(r"[^%]*?Triplet\+EPS +[|&][^\n]*65\.8", below)
        assert not re.search(r"Triplet +[|&] 42\.0", text)  # that one is ours


def test_a_missing_run_is_refused_with_state_and_reason(config, place):
    plan = made(config, place)
    (place / "runs" / EPS / paths.METRICS_FILE).unlink()
    with pytest.raises(DataError) as refused:
        collect(plan)
    lines = str(refused.value).splitlines()
    assert lines[0] == f"{EPS}: missing: trained, not measured yet"
    assert "1 of 9 runs are not there" in lines[-1]
    assert "partial: true" in lines[-1]


def test_a_partial_table_says_so_and_averages_what_there_is(config, place):
    config["partial"] = True
    plan = made(config, place)
    (place / "runs" / EPS / paths.METRICS_FILE).unlink()
    table = cells(plan, "even_odd", gather(plan))
    mine = table[(table["sampler"] == "eps") & (table["control"] == "")]
    assert (mine["n"] == 2).all()
    assert (mine["planned"] == 3).all()
    assert not table["best"].any()
    write_tables(plan, "even_odd")
    for suffix in ("md", "tex"):
        text = plain(read("even_odd", suffix))
        assert "PARTIAL: 1 runs are missing" in text
        assert "seed1: missing, trained, not measured yet" in text
        assert "(2/3)" in text
    tests = pd.read_csv(paths.tests("smoke", "even_odd"))
    assert (tests["n"] == 2).all()
    assert "Triplet + EPS − Triplet (2/3)" in read("even_odd", "md")  # noqa: RUF001


def test_of_many_missing_runs_some_are_named():
    runs = [SimpleNamespace(id=f"run {n}") for n in range(40)]
    plan = SimpleNamespace(all_runs=dict(enumerate(runs)))
    ledger = pd.DataFrame({"run": [run.id for run in runs]})
    text = partial(plan, None, ledger.assign(state="missing", reason="not run yet"))
    assert "run 4: missing" in text
    assert "run 5: missing" not in text
    assert "and 35 more in summary/ledger.csv" in text
    assert partial(plan, None, ledger.assign(state="ok")) == ""


def test_a_method_without_any_run_keeps_its_row(config, place):
    config["partial"] = True
    plan = made(config, place)
    lose_seeds(place, 0, 1, 2)
    gather(plan)
    write_tables(plan, "even_odd")
    row, *tests = (
        x for x in read("even_odd", "md").splitlines() if x.startswith("| Triplet + EPS")
    )
    assert [c.strip() for c in row.split("|")[2:-1]] == ["– (0/3)"] * 7  # noqa: RUF001
    assert any(x.startswith("| Triplet + EPS − Triplet (0/3)") for x in tests)  # noqa: RUF001
    for overview in paths.OVERVIEWS:
        write_overview(plan, overview)
        board = read(overview, "md")
        assert "PARTIAL: 3 runs are missing (digits_even_odd/digits_8d/triplet/eps/seed0" in board
        assert "– (0/3)" in board or "0 of 3" in board  # noqa: RUF001


def test_one_seed_has_no_interval_and_the_table_says_so(config, place):
    config["seeds"] = [0]
    plan = made(config, place)
    table = cells(plan, "even_odd", gather(plan))
    assert table["half_width"].isna().all()
    assert not table["best"].any()
    write_tables(plan, "even_odd")
    text = read("even_odd", "md")
    assert "one seed, so no interval and no test" in text
    assert "±" not in text.partition("Percent;")[0]


def test_tests_are_scipys_on_the_raw_values_and_holms_over_the_table(config, place):
    plan = made(config, place)
    tests = paired_tests(plan, "even_odd", gather(plan))
    assert set(tests["worse"]) == {"Triplet"}
    assert set(tests["better"]) == {"Triplet + EPS"}
    for one in tests.itertuples():
        part = (one.split, one.subset, one.label)
        a, b = (
            raw(place, ("digits_8d", "triplet", s), one.selection, part, one.metric, one.k)
            for s in ("random", "eps")
        )
        assert one.difference == pytest.approx((b - a).mean())
        assert one.p_t == pytest.approx(stats.ttest_rel(b, a).pvalue)
    family = tests[tests["metric"] == "nmi_plus"]
    assert len(family) == 2 * 3  # parts, selections: all rows that a table of them has
    expected = multipletests(family["p_t"], method="holm")[1]
    assert family["p_t_holm"].tolist() == pytest.approx(expected.tolist())


def test_the_best_is_bold_only_where_tests_say_so():
    rng = np.random.default_rng(0)
    base = rng.normal(50, 1, (5, 1))
    clear = base + np.array([0, 5, 1]) + rng.normal(0, 0.1, (5, 3))
    blurred = rng.normal(50, 5, (5, 3))
    tied = np.repeat(clear[:, [1]], 3, axis=1)
    gap = np.where(np.eye(5, 3), np.nan, clear)
    columns = [pd.DataFrame(values) for values in (clear, blurred, tied, gap, clear[:1])]
    assert supported_best(columns[:1]) == [1]
    assert supported_best(columns) == [1, None, None, None, None]
    p = stats.ttest_rel(clear[:, [1, 1]], clear[:, [0, 2]], axis=0).pvalue
    assert (multipletests(p, method="holm")[1] < 0.05).all()


def test_a_method_added_to_the_config_is_in_all_tables(config, place):
    config["losses"]["wide"] = {"type": "triplet", "margin": 0.5}
    config["experiments"]["even_odd"]["methods"].append({"loss": "wide", "sampler": "eps"})
    plan = made(config, place)
    gather(plan)
    write_tables(plan, "even_odd")
    for overview in paths.OVERVIEWS:
        write_overview(plan, overview)
    words = "Triplet + EPS (wide)"
    for table in ("even_odd", *paths.OVERVIEWS):
        for suffix in ("md", "csv", "tex"):
            assert words in plain(read(table, suffix)), (table, suffix)


def test_pairs_are_eps_against_none_and_what_papers_claim(config):
    config["losses"]["margin"] = {"type": "margin"}
    config["samplers"]["semihard"] = {
        **config["samplers"]["random"], "negative": {"type": "semihard"}
    }  # fmt: skip
    methods = [{"loss": ["triplet", "margin"], "sampler": ["random", "eps", "semihard"]}]
    config["experiments"]["even_odd"]["methods"] = methods
    plan = resolve_config(config, "test")
    found = [(p.worse[1:], p.better[1:]) for p in claimed_pairs(plan, "even_odd")]
    assert found == [((x, "random"), (x, "eps")) for x in ("triplet", "margin")]


def test_the_leaderboard_ranks_what_ran_and_the_cost_adds_up(config, place):
    plan = made(config, place)
    metrics = gather(plan)
    for overview in paths.OVERVIEWS:
        write_overview(plan, overview)
    board = pd.read_csv(paths.table("smoke", "leaderboard", "csv"), keep_default_na=False)
    first = board[board["metric"] == "recall"]
    assert len(first) == 5
    means = first["mean"].astype(float)
    assert means.tolist() == sorted(means, reverse=True)
    ranks = [r for r in first["rank"] if r != ""]
    assert [float(r) for r in ranks] == [1.0, 2.0]
    assert set(first.loc[first["rank"] == "", "control"]) == {"random", "untrained", "shuffled"}
    untrained = first.loc[first["control"] == "untrained", "mean"].astype(float).iloc[0]
    method = first[first["control"] == ""].iloc[0]
    assert float(method["gain"]) == pytest.approx(float(method["mean"]) - untrained, abs=1e-5)
    cost = pd.read_csv(paths.table("smoke", "cost", "csv"))
    assert cost["hours"].tolist() == pytest.approx([60 / 3600] * 2, abs=1e-6)
    # Seconds of epochs 2 and 3: 1.02 and 1.03, and 0.1 more for each seed.
    assert cost["epoch_seconds"].tolist() == pytest.approx([1.125] * 2)
    assert metrics["seed"].nunique() == 3


def test_curves_are_means_over_seeds(config, place):
    plan = made(config, place)
    gather(plan)
    curves = pd.read_csv(paths.curves("smoke"))
    assert curves.groupby("method")["recall"].apply(list).to_dict() == {
        words: [51.0, 52.0, 53.0] for words in ("Triplet", "Triplet + EPS")
    }


def compiled(text, folder):
    """Compile what a document reads in; returns what its pages say."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    if subprocess.run(["kpsewhich", "adjustbox.sty"], capture_output=True).returncode:
        pytest.skip("texlive-latex-extra is not installed")
    head = rf"\documentclass[10pt]{{article}}{PACKAGES}\sloppy"
    (folder / "t.tex").write_text(f"{head}\\begin{{document}}\n{text}\n\\end{{document}}")
    for _ in range(4):  # a longtable learns the widths of its columns
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
            cwd=folder, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
        if "widths have changed" not in done.stdout:
            break
    assert "Overfull" not in done.stdout
    assert "Float too large" not in done.stdout
    assert "Missing character" not in (folder / "t.log").read_text(errors="replace")
    if shutil.which("pdftotext"):
        subprocess.run(["pdftotext", "-layout", "t.pdf"], cwd=folder, check=True)
        return (folder / "t.txt").read_text()
    return ""


@pytest.mark.parametrize("gaps", [False, True])
def test_tables_compile_without_overfull_boxes(config, place, tmp_path, gaps):
    config["partial"] = gaps
    # A name with what is special to LaTeX, in the place of a sampler's label.
    config["losses"]["a_b"] = {"type": "triplet", "margin": 0.3}
    config["experiments"]["even_odd"]["methods"].append({"loss": "a_b", "sampler": "random"})
    config["experiments"]["even_odd"]["title"] += " → ≥ × “é”…"  # noqa: RUF001
    plan = made(config, place)
    if gaps:
        lose_seeds(place, 0, 1, 2)
    gather(plan)
    if gaps:
        file = paths.ledger("smoke")
        ledger = pd.read_csv(file, keep_default_na=False)
        reason = "RuntimeError of a_long_name: results/smoke/logs/train/digits_even_odd/digits_8d/"
        gone = ledger["state"] == "missing"
        assert gone.sum() == 3
        ledger.assign(reason=ledger["reason"].mask(gone, reason + "a/b/c/d.log says no")).to_csv(
            file, index=False
        )
    write_tables(plan, "even_odd")
    for overview in paths.OVERVIEWS:
        write_overview(plan, overview)
    text = "\n".join(read(t, "tex") for t in ("even_odd", *paths.OVERVIEWS))
    assert r"50\% of a\_b \& \#1" in text
    assert text.count("PARTIAL: 3 runs") == (5 if gaps else 0)  # of each table, tests included
    compiled(text, tmp_path)


@pytest.mark.parametrize(("methods", "metrics"), [(12, 10), (30, 5), (3, 14)])
def test_a_wide_or_long_table_fits_its_pages(tmp_path, methods, metrics):
    words = "Multi-Similarity + distance-weighted + EPS (a_long_name_of_an_entry)"
    cell = Cell(50.0, 10.5, note="(2/3)", published=40.0, outside=True)
    block = pd.DataFrame(
        [[cell._replace(value=float(n), bold=n == 3)] * metrics for n in range(methods)],
        index=[f"{words} {n}" for n in range(methods)],
        columns=[f"TAR@{n}" for n in range(metrics)],
    )
    text = latex([Table("Wide & long", "What it is.", "wide", {"last": block, "best": block})])
    pieces = 2 if metrics > 10 else 1
    assert text.count(r"\label{tab:wide") == pieces
    assert ("part 2 of 2" in text) == (pieces == 2)
    assert text.count(r"\pm 10.5") == 2 * methods * metrics
    assert f"entry) {methods - 1} (2/3)" in plain(text)
    seen = compiled(text, tmp_path)
    if seen:
        assert all(f"TAR@{n}" in seen for n in range(metrics))
        assert f"{methods - 1}.0" in seen


HOSTILE = [
    (r"a_b & 5% {x}~^\#$ `q` [1] <b> |", "a_b & 5% {x}"),
    ("αβγ Ω ′ ± − – — … ≥ ≤ → × “é” ß ŵ", "≥"),  # noqa: RUF001
    ("中文 标题", "[U+4E2D][U+6587] [U+6807][U+9898]"),
    ("Привет \U0001f600 e\u0301 ə \x07 \u200b", "[U+041F]"),
    ("[first] line\nand *second*", "[first] line and *second*"),
    ("x" * 200 + "/" + "界" * 40, "[U+754C]"),
    ("\\input{secret} \\end{document} %", r"\input{secret}"),
]


def test_any_title_is_printed(config, place, tmp_path):
    parts = []
    for title, _ in HOSTILE:
        config["experiments"]["even_odd"]["title"] = title
        words = names.title(resolve_config(config, "test"), "even_odd")
        row = pd.DataFrame([[Cell(1.0), title[:30]]], [title[:60]], [title[:20], "text"])
        table = Table(words, title, title, {title[:30]: row})
        parts += [f"\\section{{{tex(words)}}}", latex([table]), r"\clearpage"]
    plan = made(config, place)
    gather(plan)
    write_tables(plan, "even_odd")
    assert f"## {words}" in read("even_odd", "md")
    shown = " ".join(compiled("\n".join([*parts, read("even_odd", "tex")]), tmp_path).split())
    assert not shown or not [seen for _, seen in HOSTILE if seen not in shown]


def test_special_characters_are_escaped():
    assert tex(r"a_b & 5% {x}~^\#$") == (
        r"a\_b \& 5\% \{x\}{\textasciitilde}{\textasciicircum}{\textbackslash}\#\$"
    )


def test_methods_with_the_same_words_are_told_apart(smoke_config):
    smoke_config["samplers"]["eps_two"] = dict(smoke_config["samplers"]["eps"])
    smoke_config["experiments"]["even_odd"]["methods"][0]["sampler"].append("eps_two")
    plan = resolve_config(smoke_config, "test")
    words = list(names.methods(plan, "even_odd").values())
    assert len(set(words)) == 3
    assert "eps_two" in words[2]


@pytest.mark.parametrize("name", ["leaderboard", "cost", "results", "even_tests"])
def test_an_experiment_cannot_have_the_name_of_another_table(smoke_config, name):
    smoke_config["experiments"] = {name: smoke_config["experiments"]["even_odd"]}
    with pytest.raises(ConfigError, match=rf"experiments\.{name}: another table has this name"):
        resolve_config(smoke_config, "test")
