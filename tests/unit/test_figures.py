"""Figures: which an experiment has, what they show, and that a method looks the same everywhere."""

import re
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, config_with
from made_results import gather
from made_up import make_up, make_up_roc
from matplotlib.text import Text
from scipy import stats

from dmlbench import paths
from dmlbench.config import load_config, resolve_config
from dmlbench.data.dataset import get_dataset
from dmlbench.data.prepare import prepare
from dmlbench.errors import ConfigError, DataError
from dmlbench.evaluation.illustrations import (
    neighbours_of,
    queries,
    similarity_histogram,
)
from dmlbench.evaluation.scored_pairs import Scored
from dmlbench.neighbours.knn import nearest_neighbours
from dmlbench.reporting import names
from dmlbench.reporting.draw_figures import FigureData, write_figures
from dmlbench.reporting.figures import check_file_names, figures, planned
from dmlbench.reporting.figures.critical_difference import (
    friedman,
    nemenyi_difference,
    same_methods,
)
from dmlbench.reporting.figures.sweep import SWEPT, swept_key
from dmlbench.reporting.style import PAGE, PAGE_HEIGHT, method_styles, paper_style, plt


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """The prepared digits."""
    folder = tmp_path_factory.mktemp("digits")
    prepare(get_dataset("digits_even_odd"), {}, folder)
    return folder


def config():
    made = config_with()
    made["losses"]["margin"] = {"type": "margin"}
    made["experiments"]["even_odd"]["methods"].append({"loss": "margin", "sampler": "eps"})
    other = {"loss": "margin", "sampler": "random"}
    made["experiments"]["other"] = made["experiments"]["even_odd"] | {"methods": [other]}
    made["evaluation"]["splits"] = ["test", "train"]
    return made


@pytest.fixture
def made(index, tmp_path, monkeypatch):
    """Make results of a config up and collect them; returns the plan."""
    monkeypatch.chdir(tmp_path)

    def make(made_config):
        plan = resolve_config(made_config, "test")
        folder = plan.data_folder(next(iter(plan.runs.values())))
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            folder.symlink_to(index)
        make_up(plan, pd.read_parquet(index / paths.INDEX_FILE))
        gather(plan)
        return plan

    return make


def test_every_figure_is_a_file_of_its_own():
    modules = [figure.draw.__module__ for figure in figures().values()]
    assert len(set(modules)) == len(modules)


def test_asking_which_figures_there_are_imports_nothing_heavy():
    code = (
        "import sys; from dmlbench.reporting.figures import figures; print(len(figures()),"
        "{'torch', 'scipy', 'pandas', 'matplotlib', 'seaborn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["10", "set()"]


@pytest.mark.parametrize(
    ("file", "experiment", "there", "not_there"),
    [
        ("configs/demo.yaml", "even_odd", {"critical_difference", "retrieval"}, {"sweep", "roc"}),
        # Two methods are no ranking; every embedding is in the plane.
        ("configs/mnist.yaml", "mnist_even_odd", {"embedding"}, {"critical_difference", "sweep"}),
        ("config.yaml", "omniglot_trimmed", {"sweep", "embedding_train"}, {"critical_difference"}),
        ("config.yaml", "lfw_pd", {"roc", "similarities"}, {"sweep"}),
        ("configs/lfw_view2.yaml", "view2", {"roc"}, {"sweep", "critical_difference"}),
    ],
)
def test_an_experiment_has_the_figures_that_its_runs_can_fill(file, experiment, there, not_there):
    kinds = set(planned(load_config(ROOT / file), experiment))
    assert there <= kinds
    assert not not_there & kinds


def test_ranks_over_datasets_are_of_experiments_with_the_same_methods():
    groups = same_methods(load_config(ROOT / "config.yaml"))
    assert ["cars196", "cub200", "omniglot"] in groups
    assert same_methods(load_config(ROOT / "configs/demo.yaml")) == []


def test_a_method_looks_the_same_everywhere_and_unlike_the_others():
    plan = load_config(ROOT / "config.yaml")
    styles = method_styles(plan)
    for experiment, methods in plan.methods.items():
        looks = [tuple(map(str, styles[m].values())) for m in methods]
        assert len(set(looks)) == len(looks), experiment
    for method, style in styles.items():
        positive = plan.samplers[method[2]]["positive"] or {}
        if positive.get("type") == "easy":
            assert style["linestyle"] != ":"
            assert style["markerfacecolor"] == style["color"]
    frozen = load_config(ROOT / "configs/omniglot_frozen.yaml")
    lines = [str(s["linestyle"]) for m, s in method_styles(frozen).items() if m[1] == "triplet"]
    assert len(set(lines)) == len(lines) == 4
    by_loss = {}
    for (_, loss, sampler), style in styles.items():
        if not any(plan.swept.get(m) for m in styles if m[1] == loss):
            assert by_loss.setdefault(loss, style["color"]) == style["color"], (loss, sampler)
    # The papers' losses have one colour in every config.
    demo = load_config(ROOT / "configs/demo.yaml")
    colours = [
        {s["color"] for m, s in method_styles(p).items() if p.losses[m[1]]["type"] == "margin"}
        for p in (demo, load_config(ROOT / "configs/omniglot.yaml"))
    ]
    assert colours[0] == colours[1]
    assert len(colours[0]) == 1


def texts(figure):
    return {t.get_text().strip() for t in figure.findobj(Text)}


def test_every_figure_shows_every_method_and_an_added_one(made):
    plan = made(config())
    before = {}
    for added in (False, True):
        if added:
            more = config()
            more["losses"]["new_one"] = {"type": "contrastive"}
            more["experiments"]["even_odd"]["methods"].append({"loss": "new_one", "sampler": "eps"})
            plan = made(more)
        data = FigureData.of(plan, "even_odd")
        for kind in planned(plan, "even_odd"):
            with paper_style():
                figure, table = figures()[kind].draw(data)
            shown = " ".join(texts(figure)).replace("\n", " ")
            for words in data.words.values():
                assert words in shown, (kind, words)
            assert ("Contrastive + EPS" in shown) == added
            if added:
                with paper_style():
                    check_page(figure, kind)
            if table is not None and kind != "critical_difference":
                assert set(table["method"]) == set(data.words), kind
            if kind == "critical_difference":
                lines = [list(line.get_xdata()) for line in figure.axes[0].lines]
                bars = [xs for xs in lines if len(xs) > 3]  # of Nemenyi's test
                assert bars == [sorted(xs) for xs in bars]  # the library has them in any order
            before.setdefault(kind, figure)
    assert set(before) == set(planned(plan, "even_odd"))
    assert {"embedding_train", "critical_difference", "recall_at_k"} <= set(before)


def check_page(figure, kind):
    """The figure is no wider than a page's text, its own text stays on it and is not too small."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    plt.close(figure)
    assert figure.get_figwidth() <= PAGE + 1e-9, kind
    assert figure.get_figheight() <= PAGE_HEIGHT, kind  # the PDF would shrink it
    assert box.x0 > -0.05, kind
    assert box.x1 < figure.get_figwidth() + 0.05, kind
    small = [t for t in figure.findobj(Text) if t.get_text() and t.get_fontsize() < 7]
    assert not small, kind


def test_many_methods_with_long_names_can_be_read_and_stay_on_the_page(made):
    more = config()
    more["losses"]["contrastive"] = {"type": "contrastive"}
    more["experiments"]["even_odd"]["methods"] = [
        {"loss": ["triplet", "margin", "contrastive"], "sampler": sampler}
        for sampler in ("random", "eps", "hard", "eps_hard")
    ]
    for name, positive in (("hard", "random"), ("eps_hard", "easy")):
        more["samplers"][name] = {"per_class": 16, "positive": positive, "negative": "hard"}
    plan = made(more)
    data = FigureData.of(plan, "even_odd")
    assert len(data.words) == 12
    longer = {m: f"{words}, with a name that goes on" for m, words in data.words.items()}
    # The figure of the training images is drawn as that of the test.
    for kind in set(planned(plan, "even_odd")) - {"embedding_train"}:
        with paper_style():
            check_page(figures()[kind].draw(replace(data, words=longer))[0], kind)


def test_equal_results_give_equal_bytes_whatever_the_user_set(made, monkeypatch):
    plan = made(config())
    files = []
    for size in (10, 30):
        monkeypatch.setitem(plt.rcParams, "font.size", size)
        monkeypatch.setitem(plt.rcParams, "savefig.bbox", None if size == 10 else "tight")
        kinds = ["recall_at_k", "retrieval", "similarities", "embedding", "critical_difference"]
        write_figures(plan, "even_odd", kinds)
        folder = ROOT.cwd() / "results" / "smoke" / "figures"
        files.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert len(files[0]) == 19
    assert files[0] == files[1]


def test_figures_are_files_that_can_be_opened_and_their_numbers_lie_beside(made):
    plan = made(config())
    write_figures(plan, "even_odd", ["recall_at_k", "embedding"])
    for kind in ("recall_at_k", "embedding"):
        pdf = (ROOT.cwd() / paths.figure("smoke", "even_odd", kind, "pdf")).read_bytes()
        assert pdf.startswith(b"%PDF-")
        (width,) = set(re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ", pdf))
        assert float(width) <= 6.35 * 72  # a page's width of text
    metrics = pd.read_parquet(paths.summary("smoke", "metrics"))
    table = pd.read_csv(paths.figure("smoke", "even_odd", "recall_at_k", "csv"))
    row = table[(table["method"] == "Triplet + EPS") & (table["k"] == 5)].iloc[0]
    mine = metrics[
        (metrics["sampler"] == "eps")
        & (metrics["loss"] == "triplet")
        & (metrics["recipe"] == "digits_8d")
        & (metrics["metric"] == "recall")
        & (metrics["k"] == 5)
        & (metrics["selection"] == "last")
        & (metrics["split"] == "test")
        & (metrics["subset"] == row["subset"])
    ]
    assert len(mine) == row["seeds"] == 2
    assert row["mean"] == pytest.approx(100 * mine["value"].mean(), rel=1e-5)
    assert row["low"] == pytest.approx(100 * mine["value"].min(), rel=1e-5)


def test_points_are_a_picture_inside_the_pdf(made):
    write_figures(made(config()), "even_odd", ["embedding"])
    pdf = (ROOT.cwd() / paths.figure("smoke", "even_odd", "embedding", "pdf")).read_bytes()
    assert b"/Subtype /Image" in pdf
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    drawn = [zlib.decompress(s) for s in streams if s[:1] == b"x"]
    # Markers as vectors would be one "Do" for each of hundreds of images.
    assert sum(content.count(b" Do") for content in drawn if b" Tf" in content) < 100


@pytest.mark.parametrize("left", [2, 1])
def test_methods_without_any_run_keep_no_figure_from_being_drawn(made, left):
    plan = made(config())
    for _, *names_of in plan.methods["even_odd"][left:]:
        for run in plan.runs.values():
            if [run.loss, run.sampler] == names_of:
                for file in plan.run_folder(run).glob("*"):
                    file.unlink()
    partial = resolve_config(config() | {"partial": True}, "test")
    gather(partial)
    write_figures(partial, "even_odd")
    for kind in planned(partial, "even_odd"):
        assert paths.local(paths.figure("smoke", "even_odd", kind, "pdf")).stat().st_size > 1000
    table = pd.read_csv(paths.figure("smoke", "even_odd", "recall_at_k", "csv"))
    assert table["method"].nunique() == left


def test_what_is_missing_is_named_or_marked(made):
    plan = made(config())
    run = next(iter(plan.runs.values()))
    file = plan.run_folder(run) / paths.projection("test")
    file.unlink()
    with pytest.raises(DataError, match=f"{run.sampler}/seed0/projection_test.parquet is missing"):
        write_figures(plan, "even_odd", ["embedding"])
    with pytest.raises(ConfigError, match="has no figure 'sweep'"):
        write_figures(plan, "even_odd", ["sweep"])
    (plan.run_folder(run) / paths.METRICS_FILE).unlink()
    partial = resolve_config(config() | {"partial": True}, "test")
    gather(partial)
    write_figures(partial, "even_odd")
    table = pd.read_csv(paths.figure("smoke", "even_odd", "recall_at_k", "csv"))
    assert table.groupby("method")["seeds"].max().to_dict() == {
        "Triplet": 1,
        "Triplet + EPS": 2,
        "Margin + EPS": 2,
    }


def test_a_sweep_is_drawn_against_its_values(made):
    swept = config()
    swept["experiments"]["even_odd"]["sweep"] = {"loss.margin": [0.1, 0.2, 0.4]}
    plan = made(swept)
    assert "sweep" in planned(plan, "even_odd")
    with paper_style():
        figure, table = figures()["sweep"].draw(FigureData.of(plan, "even_odd"))
    assert sorted(table["margin"].unique()) == [0.1, 0.2, 0.4]
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["Triplet", "Triplet + EPS", "Margin + EPS"]
    assert "Triplet + EPS (margin 0.2)" in names.methods(plan, "even_odd").values()


@pytest.mark.parametrize(
    ("experiment", "words", "values"),
    [
        ("omniglot_positives", "other images of its class in an anchor's batch", [6, 13, 27, 55]),
        ("omniglot_trimmed", "triplets trimmed (%)", [0, 10, 20, 30, 50]),
        ("cub200_pd_batch", "images per batch", [32, 64]),
    ],
)
def test_the_papers_sweeps_have_their_axes(experiment, words, values):
    plan = load_config(ROOT / "config.yaml")
    key = swept_key(plan, experiment)
    said, factor, offset = SWEPT[key]
    found = {factor * plan.swept[m].settings[key] + offset for m in plan.methods[experiment]}
    assert said == words
    assert sorted(found) == pytest.approx(values)


def test_nemenyi_is_demsars():
    # Demsar 2006, table 5a (q at 0.05) and the example of section 3.2.3.
    quantiles = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 10: 3.164}
    for methods, quantile in quantiles.items():
        expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 14))
        assert nemenyi_difference(methods, 14) == pytest.approx(expected, rel=1e-3)
    assert nemenyi_difference(4, 14) == pytest.approx(1.25, abs=0.01)


def test_friedman_is_scipys_also_where_all_methods_tie():
    scores = pd.DataFrame(np.random.default_rng(0).random((6, 4)), columns=list("abcd"))
    scores.iloc[0, 1] = scores.iloc[0, 2]  # a tie
    p = stats.friedmanchisquare(*scores.to_numpy().T).pvalue
    assert friedman(scores) == pytest.approx(p)
    assert friedman(scores * 0) == 1.0


def test_queries_are_of_different_classes_and_have_something_to_find():
    labels = np.array([0] * 5 + [1] * 5 + [2] * 5 + [3])
    ids = np.arange(100, 116)
    asked = queries(labels, ids, 3)
    assert sorted(labels[asked - 100]) == [0, 1, 2]
    assert 115 not in queries(labels, ids, 16)  # alone in its class
    order = np.random.default_rng(0).permutation(16)
    assert queries(labels[order], ids[order], 3).tolist() == asked.tolist()


def test_neighbours_of_queries_are_those_of_the_search():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 4)).astype(np.float32)
    vectors[7] = vectors[8] = vectors[9]  # ties
    labels, ids = rng.integers(0, 3, 60), rng.permutation(60)
    everyone = nearest_neighbours(vectors, ids, 5)
    found = neighbours_of(vectors, labels, ids, ids[[7, 20]], 5)
    for query in (7, 20):
        mine = found[found["query"] == ids[query]]
        assert mine["rank"].tolist() == [1, 2, 3, 4, 5]
        assert mine["id"].tolist() == ids[everyone[query]].tolist()
        assert mine["right"].tolist() == (labels[everyone[query]] == labels[query]).tolist()


def test_histograms_hold_all_pairs_but_the_tail_and_d_prime_is_verifications():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 80)
    vectors = (rng.standard_normal((80, 3)) + labels[:, None]).astype(np.float32)
    table = similarity_histogram(vectors, labels, 1000)
    pairs = [(i, j) for i in range(80) for j in range(i)]
    similarity = [-float(np.square(vectors[i].astype(float) - vectors[j]).sum()) for i, j in pairs]
    genuine = np.array([labels[i] == labels[j] for i, j in pairs])
    differing = np.array(similarity)
    value = (differing[genuine].mean() - differing[~genuine].mean()) / np.sqrt(
        (differing[genuine].var() + differing[~genuine].var()) / 2
    )
    assert table["d_prime"].unique() == pytest.approx([value])
    for kind in ("genuine", "impostor"):
        assert 0.99 <= table[kind].sum() <= 1 + 1e-9
    assert np.isnan(similarity_histogram(vectors, np.arange(80), 100)["d_prime"]).all()


def test_accept_rates_are_those_of_verification():
    rng = np.random.default_rng(2)
    genuine = rng.random(200) < 0.4
    pairs = Scored(np.round(rng.standard_normal(200) + genuine, 1), genuine)
    accepted = [pairs.similarity >= t for t in [np.inf, *np.unique(pairs.similarity)]]
    every = {(some[~genuine].mean(), some[genuine].mean()) for some in accepted}
    far, tar = pairs.accept_rates(all_thresholds=False)
    assert set(zip(far, tar, strict=True)) <= every
    area = np.trapezoid(tar, far)
    assert area == pytest.approx(np.trapezoid(*np.array(sorted(every)).T[::-1]))


def test_a_roc_shows_what_is_accepted_without_exceeding_a_rate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = load_config(ROOT / "configs" / "lfw_view2.yaml")
    make_up_roc(plan, "view2")
    data = FigureData.of(plan, "view2")
    with paper_style():
        figure, table = figures()["roc"].draw(data)
        check_page(figure, "roc")
    assert set(table["method"]) == set(data.words)
    at = table[np.isclose(table["far"], 10**-0.5)].iloc[0]  # between two steps
    seeds = plan.benchmark.seeds
    assert at["low"] == pytest.approx(40 + 10 * min(seeds))
    assert at["high"] == pytest.approx(40 + 10 * max(seeds))
    assert at["seeds"] == len(seeds)


@pytest.mark.parametrize(("names", "refused"), [(("x", "train_x"), True), (("x", "y_x"), False)])
def test_figures_that_would_be_one_file_are_one_line(smoke_config, names, refused):
    one = smoke_config["experiments"].pop("even_odd")
    smoke_config["experiments"] = dict.fromkeys(names, one)
    smoke_config["evaluation"]["splits"] = ["test", "train"]
    plan = resolve_config(smoke_config, "test")
    if not refused:
        check_file_names(plan)
        return
    with pytest.raises(ConfigError, match=r"experiments.train_x: its figure .*embedding_train_x"):
        check_file_names(plan)
