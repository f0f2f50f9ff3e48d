"""Clustering, stored embeddings and the parts that are measured."""

import numpy as np
import pandas as pd
import pytest

from dmlbench.config.dataset_facts import Part
from dmlbench.config.settings import Evaluation
from dmlbench.errors import ConfigError, DataError
from dmlbench.evaluation.clustering import kmeans, mutual_information
from dmlbench.evaluation.embeddings import load_embeddings, save_embeddings
from dmlbench.evaluation.illustrations import evenly, in_plane
from dmlbench.evaluation.metric import METRICS, Measure, Sample, find_measure, register_metric
from dmlbench.evaluation.run_metrics import measure_images

OF_IMAGES = ("recall", "r_precision", "map_at_r", "mrr", "nmi", "nmi_plus", "ami", "collapse")


def measure(points, labels, ids, names=OF_IMAGES, sub_labels=None, **changed):
    settings = {"recall_at": [1, 5], "kmeans_seeds": [0, 1], "nmi_plus": 3} | changed
    sample = Sample(points, labels, ids, Evaluation(**settings), sub_labels=sub_labels)
    return measure_images(sample, names)


def clusters(count=4, each=25, spread=0.05, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), each)
    points = 10 * np.eye(count)[labels] + rng.normal(scale=spread, size=(len(labels), count))
    return points.astype(np.float32), labels


def nmi(points, labels, clusters, seeds, restarts=1):
    assigned = [kmeans(points, clusters, seed, restarts) for seed in seeds]
    return mutual_information(labels, assigned)


def test_nmi_is_one_for_separated_classes_and_below_with_more_clusters():
    points, labels = clusters()
    assert nmi(points, labels, 4, [0, 1])["arithmetic"] == pytest.approx(1.0)
    plus = nmi(points, labels, 12, [0, 1])
    assert 0.5 < plus["arithmetic"] < plus["geometric"] < 1.0


def test_nmi_of_noise_is_near_zero():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(2000, 8)).astype(np.float32), rng.integers(0, 4, 2000)
    assert nmi(points, labels, 4, [0])["arithmetic"] < 0.02


def test_kmeans_repeats_and_is_as_good_as_scikit_learns():
    from sklearn.cluster import KMeans

    points = np.random.default_rng(1).normal(size=(500, 5)).astype(np.float32)
    first = kmeans(points, 10, seed=3, restarts=5)
    assert (first == kmeans(points, 10, seed=3, restarts=5)).all()

    def inertia(assigned):
        return sum(
            np.square(points[assigned == c] - points[assigned == c].mean(axis=0)).sum()
            for c in np.unique(assigned)
        )

    theirs = KMeans(10, n_init=10, random_state=0).fit(points).inertia_
    assert inertia(first) < 1.02 * theirs
    assert inertia(first) <= inertia(kmeans(points, 10, seed=3))


@pytest.mark.parametrize(("spread", "scale"), [(3e-4, 1), (0.1, 1e-30), (0.1, 1e30)])
def test_classes_that_lie_close_together_or_far_out_are_still_found(spread, scale):
    rng = np.random.default_rng(0)
    centres = np.eye(128)[0] + spread * rng.standard_normal((60, 128))
    labels = np.repeat(np.arange(60), 50)
    points = centres[labels] + 0.01 * spread * rng.standard_normal((3000, 128))
    points = (scale * points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    assert nmi(points, labels, 60, seeds=[0], restarts=3)["arithmetic"] > 0.95


def test_mutual_information_is_scikit_learns():
    from sklearn import metrics

    rng = np.random.default_rng(0)
    labels, assigned = rng.integers(0, 5, 200), [rng.integers(0, 9, 200) for _ in range(3)]
    for adjusted, theirs in (
        (False, metrics.normalized_mutual_info_score),
        (True, metrics.adjusted_mutual_info_score),
    ):
        found = mutual_information(labels, assigned, adjusted)
        for average in ("arithmetic", "geometric"):
            each = [theirs(labels, clusters, average_method=average) for clusters in assigned]
            assert found[average] == pytest.approx(np.mean(each))
            if average == "arithmetic":
                assert found["spread"] == pytest.approx(np.std(each))


def test_nmi_is_mutual_information_over_mean_entropy():
    """The formula written out; one cluster of nine images, two classes."""
    labels, clusters = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1, 2, 2, 2])
    joint = np.array([[2, 1, 0], [0, 3, 3]]) / 9
    a, b = joint.sum(axis=1), joint.sum(axis=0)
    mutual = sum(
        joint[i, j] * np.log(joint[i, j] / a[i] / b[j])
        for i in range(2)
        for j in range(3)
        if joint[i, j]
    )
    entropies = [-(p * np.log(p)).sum() for p in (a, b)]
    found = mutual_information(labels, [clusters])
    assert found["arithmetic"] == pytest.approx(mutual / np.mean(entropies))
    assert found["geometric"] == pytest.approx(mutual / np.sqrt(np.prod(entropies)))


def test_clusters_of_collapsed_embeddings_tell_nothing():
    labels = np.arange(60) % 3
    found = nmi(np.ones((60, 4), np.float32), labels, 3, [0, 1])
    assert found["arithmetic"] < 0.1


def test_more_clusters_than_images_is_one_line():
    points, labels = clusters(each=2)
    with pytest.raises(DataError, match=r"lower evaluation\.nmi_plus"):
        nmi(points, labels, 9, [0])


def test_measure_gives_every_metric_once():
    points, labels = clusters()
    rows = pd.DataFrame(measure(points, labels, np.arange(100), sub_labels=labels % 2))
    assert rows[["metric", "k"]].apply(tuple, axis=1).is_unique
    for metric, value in zip(rows["metric"], rows["value"], strict=True):
        assert find_measure(metric).low <= value <= find_measure(metric).high + 1e-9
    few = measure(points, labels, np.arange(100), ["mrr", "nmi"])
    assert {r["metric"] for r in few} == {"mrr", "nmi", "nmi_geometric", "nmi_spread"}
    assert all(r in rows.to_dict("records") for r in few)
    assert rows.set_index(["metric", "k"])["value"][("recall", 1)] == 1.0
    assert set(rows.loc[rows["metric"].str.startswith("nmi_plus"), "k"]) == {12}


def test_diverged_embeddings_and_too_large_k_are_refused():
    points, labels = clusters()
    with pytest.raises(DataError, match="diverged"):
        measure(np.full_like(points, np.nan), labels, np.arange(100))
    with pytest.raises(DataError, match="more than the 99 others"):
        measure(points, labels, np.arange(100), recall_at=[100])


OF = {"run": "a", "settings": "b", "weights": "c"}


@pytest.mark.parametrize("other", [{"weights": "d"}, {"settings": "d"}, {"run": "d"}])
def test_embeddings_of_another_are_one_line(tmp_path, other):
    save_embeddings(tmp_path / "e.npz", clusters()[0], np.arange(100), OF | other)
    with pytest.raises(DataError, match=f"made with other {next(iter(other))}"):
        load_embeddings(tmp_path / "e.npz", OF)


def test_embeddings_that_do_not_say_whose_they_are_are_refused(tmp_path):
    np.savez(tmp_path / "e.npz", embeddings=clusters()[0], ids=np.arange(100))
    with pytest.raises(DataError, match="no readable embeddings"):
        load_embeddings(tmp_path / "e.npz", OF)


def test_embeddings_without_an_id_for_each_are_one_line(tmp_path):
    save_embeddings(tmp_path / "e.npz", clusters()[0][:9], np.arange(10), OF)
    with pytest.raises(DataError, match=r"shapes \(9, \d+\) and \(10,\) do not fit"):
        load_embeddings(tmp_path / "e.npz", OF)


def test_embeddings_survive_storing(tmp_path):
    points, _ = clusters()
    save_embeddings(tmp_path / "e.npz", points, np.arange(100), OF)
    first = (tmp_path / "e.npz").read_bytes()
    save_embeddings(tmp_path / "e.npz", points, np.arange(100), OF)
    assert (tmp_path / "e.npz").read_bytes() == first
    vectors, ids = load_embeddings(tmp_path / "e.npz", OF)
    assert (vectors == points).all()
    assert (ids == np.arange(100)).all()
    (tmp_path / "e.npz").write_bytes(first[:100])
    with pytest.raises(DataError, match="no readable embeddings"):
        load_embeddings(tmp_path / "e.npz", OF)


def test_a_part_is_its_split_and_subset():
    index = pd.DataFrame({"split": ["train", "test", "test"], "subset": ["", "seen", "unseen"]})
    assert Part("test", "", "digit").rows(index).tolist() == [1, 2]
    assert Part("test", "unseen", "digit").rows(index).tolist() == [2]


def test_tsne_keeps_clusters_apart_and_repeats():
    points, labels = clusters(count=3, each=30)
    plane, how = in_plane(points, 10, seed=0)
    assert how == "t-SNE"
    assert (plane == in_plane(points, 10, seed=0)[0]).all()
    centres = np.array([plane[labels == c].mean(axis=0) for c in range(3)])
    own = np.linalg.norm(plane - centres[labels], axis=1).max()
    apart = min(np.linalg.norm(centres[a] - centres[b]) for a, b in [(0, 1), (0, 2), (1, 2)])
    assert apart > 2 * own


def test_evenly_spaced_positions():
    assert evenly(10, 100).tolist() == list(range(10))
    assert evenly(101, 3).tolist() == [0, 50, 100]


def test_the_order_of_the_rows_changes_no_metric():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(300, 6)).astype(np.float32)
    labels, ids = rng.integers(0, 15, 300), rng.permutation(1000)[:300]
    order = rng.permutation(300)
    assert measure(points, labels, ids) == measure(points[order], labels[order], ids[order])


@pytest.mark.parametrize(
    ("labels", "why"),
    [(np.zeros(20, int), "one class only"), (np.arange(20), "every image is alone in its class")],
)
def test_information_about_no_classes_is_not_defined(labels, why):
    points = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    rows = measure(points, labels, np.arange(20), ["nmi", "ami"])
    assert [(row["value"], row["note"]) for row in rows] == [(None, why)] * 2


def test_no_two_metrics_store_one_name():
    with pytest.raises(ConfigError, match="'recall_two' would store recall, as 'recall' does"):
        register_metric("recall_two", measures={"recall": Measure("R")})
    stored = [name for cls in METRICS.classes().values() for name in cls.measures]
    assert len(stored) == len(set(stored))
