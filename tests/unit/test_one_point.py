"""Embeddings that coincide, up to rounding: nothing shows structure that is not there, or ends."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from dmlbench.config.dataset_facts import Roles
from dmlbench.evaluation.coincidence import points_of, without_rounding
from dmlbench.evaluation.illustrations import in_plane, similarity_histogram
from dmlbench.evaluation.metric import METRICS, Sample
from dmlbench.evaluation.run_metrics import measure_images
from dmlbench.evaluation.scored_pairs import pair_samples
from dmlbench.reporting.figures import embedding, similarity_histograms
from dmlbench.reporting.style import method_panels, paper_style, plt

LABELS = np.repeat(np.arange(6), 4)
SETTINGS = SimpleNamespace(
    recall_at=[1, 2], nmi_plus=2, kmeans_seeds=[0, 1], kmeans_restarts=2, far=[0.1]
)


def vectors(points, noise, far=1.0):
    """24 embeddings on so many points, up to noise of this size."""
    rng = np.random.default_rng(0)
    centres = far * (1 + rng.standard_normal((points, 5)))
    made = centres[np.arange(24) % points] + noise * rng.standard_normal((24, 5))
    return made.astype(np.float32)


#: Points, noise and size: dead units give zeros, others a vector up to rounding.
COLLAPSED = [(1, 0, 0), (1, 0, 1), (1, 1e-8, 1), (1, 1e-7, 1), (1, 1e-2, 1e4)]


@pytest.mark.parametrize(
    ("points", "noise", "far"),
    [*COLLAPSED, (2, 0, 1), (2, 1e-7, 1), (3, 1e-7, 1), (4, 1e-7, 1)],
)
def test_a_figure_has_as_many_spots_as_there_are_points(points, noise, far):
    """t-SNE drew separate spots of one point, or died of SIGSEGV."""
    made = vectors(points, noise, far)
    place, how = in_plane(made, 30, seed=0)
    assert np.isfinite(place).all()
    assert len(np.unique(place, axis=0)) == points
    if points <= 3:
        assert how == "PCA"
        first = made[:points].astype(float)
        for one in range(points):  # as far apart as the embeddings are
            apart = np.linalg.norm(place[0] - place[one])
            assert apart == pytest.approx(np.linalg.norm(first[0] - first[one]), rel=1e-4)
    flat, how = in_plane(made[:, :2], 30, seed=0)
    assert (len(np.unique(flat, axis=0)), how) == (points, "none")
    assert in_plane(made[:, :1], 30, seed=0)[0].shape == (24, 2)


def test_different_embeddings_keep_their_order_and_values():
    made = vectors(24, 0)
    points, place = points_of(made)
    assert (points == made).all()
    assert (place == np.arange(24)).all()
    assert without_rounding(made) is made


@pytest.mark.parametrize(("points", "noise", "far"), COLLAPSED)
def test_metrics_of_one_point_say_so(points, noise, far):
    """Their spread is rounding: a ratio or d' of it would be one of noise."""
    sample = Sample(vectors(points, noise, far), LABELS, np.arange(24), SETTINGS, "label")
    names = [n for n in METRICS.classes() if not METRICS.get(n).of_pairs]
    rows = {(r["metric"], r["k"]): r for r in measure_images(sample, names)}
    assert rows["variance_ratio", 0]["value"] is None
    assert rows["variance_ratio", 0]["note"] == "all images have one embedding"
    assert rows["d_prime_of_all", 0]["value"] is None
    assert rows["modes_per_class", 0]["value"] == pytest.approx(1)
    same = Sample(vectors(1, 0, 1), LABELS, np.arange(24), SETTINGS, "label")
    assert list(rows.values()) == measure_images(same, names)
    assert rows["nmi", 6]["value"] < 0.5


@pytest.mark.parametrize(("points", "noise", "far"), COLLAPSED)
def test_pairs_of_one_point_have_no_d_prime(points, noise, far):
    table = pd.DataFrame({"left": [0, 1, 2, 3], "right": [4, 5, 6, 7], "same": [True, False] * 2})
    table = table.assign(view="view2", fold=[1, 1, 2, 2], trained_on=0)
    (sample,) = pair_samples(table, vectors(points, noise, far), np.arange(24), SETTINGS)
    rows = {r["metric"]: r for r in METRICS.get("verification")().rows(sample)}
    assert (rows["d_prime"]["value"], rows["d_prime"]["note"]) == (None, "no spread")
    assert rows["auc"]["value"] == rows["eer"]["value"] == 0.5


def of_methods(table, normalize=False):
    """What a figure of two methods is given."""
    methods = [("r", "triplet", "a"), ("r", "triplet", "b")]
    found = pd.concat([table.assign(method=[m] * len(table)) for m in methods], ignore_index=True)
    plan = SimpleNamespace(
        recipes={"r": {"normalize": normalize}},
        facts=lambda _: SimpleNamespace(train_label="label"),
        benchmark=SimpleNamespace(datasets=["mine"]),
    )
    words = {m: m[2] for m in methods}
    return SimpleNamespace(
        plan=plan, words=words, dataset="mine", of_shown_runs=lambda *_: found.copy()
    )


def words_of(figure):
    figure.draw_without_rendering()
    plt.close(figure)
    return [text.get_text().replace("\n", " ") for text in figure.findobj(Text)]


@pytest.mark.parametrize(
    ("points", "told"),
    [(1, "all 24 on one point"), (3, "24 images on 3 points"), (24, "")],
)
def test_the_figure_of_embeddings_says_how_many_points(points, told):
    place, _ = in_plane(vectors(points, 1e-8)[:, : 2 if points > 3 else 5], 5, seed=0)
    about = {"split": "test", "subset": "", "label": LABELS}
    table = pd.DataFrame({"x": place[:, 0], "y": place[:, 1], **about})
    with paper_style():
        words = words_of(embedding.draw_plane(of_methods(table)))
    assert words.count(told) >= 2
    if not told:
        assert not any(" on " in text for text in words)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("points", "noise", "far"), COLLAPSED)
def test_the_histogram_of_one_point_says_so(points, noise, far, normalize):
    found = similarity_histogram(vectors(points, noise, far), LABELS, 100)
    assert (found["left"] == found["right"]).all()
    assert found["d_prime"].isna().all()
    table = found.assign(split="test", subset="", label="label")
    with paper_style():
        figure, numbers = similarity_histograms.similarities(of_methods(table, normalize))
        assert words_of(figure).count("all pairs are equally alike") == 2
    assert numbers[["genuine", "impostor"]].isna().all(axis=None)


def test_few_pairs_that_differ_are_in_the_histogram():
    """The least alike 0.2% are in no bin; they are where all others are equal."""
    made = np.ones((80, 3), np.float32)
    made[0] = 0  # 79 of 3160 pairs
    made = np.concatenate([made, np.ones((80, 3), np.float32)])
    found = similarity_histogram(made, np.arange(160) % 2, 1000)
    assert found["left"].iloc[0] < found["right"].iloc[-1]
    assert found["impostor"].sum() == pytest.approx(1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("labels", [np.zeros(24, int), np.arange(24)])
def test_one_kind_of_pair_alone_is_drawn(labels):
    found = similarity_histogram(vectors(24, 0), labels, 100)
    table = found.assign(split="test", subset="", label="label")
    with paper_style():
        figure, numbers = similarity_histograms.similarities(of_methods(table))
        words_of(figure)
    assert numbers[["left", "genuine", "impostor"]].notna().all(axis=None)


def test_queries_apart_from_their_gallery_coincide_too():
    roles = Roles(np.arange(24) < 12, np.arange(24) >= 12)
    found = similarity_histogram(vectors(1, 1e-8), LABELS, 100, roles)
    assert (found["left"] == found["right"]).all()


def test_panels_are_drawn_for_every_method():
    data = of_methods(pd.DataFrame({"part": ["test"], "heading": [""]}))
    with paper_style():
        figure = method_panels(data, data.of_shown_runs(), lambda axis, mine: None, 1)
    assert len(figure.axes) == 2
    plt.close(figure)
