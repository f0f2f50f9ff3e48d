"""Retrieval metrics against plain loops, against pytorch-metric-learning, and by eye."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_loops import retrieval as loop

from dmlbench.config.settings import Evaluation
from dmlbench.errors import DataError
from dmlbench.evaluation.metric import Sample
from dmlbench.evaluation.run_metrics import measure_images
from dmlbench.neighbours import knn
from dmlbench.neighbours.faiss_loading import load_faiss

METRICS = ("recall", "r_precision", "map_at_r", "mrr")


def retrieval(points, labels, ids, ks, names=METRICS, **where):
    """Values by K or name."""
    sample = Sample(points, labels, ids, Evaluation(recall_at=ks), **where)
    rows = measure_images(sample, names)
    return {row["k"] or row["metric"]: row["value"] for row in rows}


def data(kind, count, dim, seed):
    """Points with labels and ids; ``kind`` says what is hard about them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(1, count // 4), count)  # some alone in their class
    points = rng.normal(size=(count, dim))
    if kind == "grid":  # ties everywhere
        points = rng.integers(0, 3, (count, dim))
    elif kind == "duplicates":
        points = points[rng.integers(0, count // 2 + 1, count)]
    elif kind == "collapsed":
        points = np.ones((count, dim))
    elif kind == "three points":
        points = points[rng.integers(0, 3, count)]
    elif kind == "nearly collapsed":  # all float32 differences are in the last digits
        points = points[labels % 2] + 1e-7 * rng.normal(size=(count, dim))
    elif kind == "far":
        points = 1000 + 0.01 * points
    elif kind == "tiny":
        points = 1e-25 * points
    elif kind == "huge":
        points = 1e30 * points
    return points.astype(np.float32), labels, rng.permutation(10 * count)[:count]


KINDS = ["plain", "grid", "duplicates", "collapsed", "three points", "nearly collapsed"]
KINDS += ["far", "tiny", "huge"]


def equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert (
            ours[key] == pytest.approx(value, rel=1e-12, abs=1e-12) if value is not None else True
        ), key
        assert (ours[key] is None) == (value is None)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6), count=st.integers(3, 50), dim=st.integers(1, 6))
@settings(max_examples=12)
def test_equals_the_loop(kind, seed, count, dim):
    points, labels, ids = data(kind, count, dim, seed)
    ks = sorted({1, 2, count - 1})
    equal(retrieval(points, labels, ids, ks), loop(points, labels, ids, ks))


@pytest.mark.parametrize("kind", KINDS)
def test_small_blocks_and_no_help_of_faiss_change_nothing(kind, monkeypatch):
    points, labels, ids = data(kind, 120, 5, seed=1)
    expected = loop(points, labels, ids, [1, 4])
    monkeypatch.setattr(knn, "ENTRIES", 64)
    monkeypatch.setattr(knn, "BLOCK", 16)
    equal(retrieval(points, labels, ids, [1, 4], threads=2), expected)
    monkeypatch.setattr(knn, "PADDING", 0)  # faiss settles little
    equal(retrieval(points, labels, ids, [1, 4]), expected)
    equal(retrieval(points, labels, ids, [1, 4]), expected)
    monkeypatch.setattr(knn, "LONG", 1)
    equal(retrieval(points, labels, ids, [1, 4], threads=1), expected)


def test_equals_pytorch_metric_learning():
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    points, labels, ids = data("plain", 600, 16, seed=2)
    names = {
        "precision_at_1": 1,
        "r_precision": "r_precision",
        "mean_average_precision_at_r": "map_at_r",
        "mean_reciprocal_rank": "mrr",
    }
    theirs = AccuracyCalculator(include=tuple(names)).get_accuracy(
        torch.from_numpy(points), torch.from_numpy(labels)
    )
    paired = np.bincount(labels)[labels] > 1  # theirs leaves the others out
    ours = retrieval(points, labels, ids, [1])
    ours[1] *= len(labels) / paired.sum()
    for their_name, our_name in names.items():
        assert ours[our_name] == pytest.approx(theirs[their_name], abs=1e-9), our_name


def test_six_points_by_eye():
    # On a line: a a . b . . a b b, at 0, 1, 3, 6.4, 7.5 and 8.5.
    points = np.array([[0.0], [1], [3.0], [6.4], [7.5], [8.5]], dtype=np.float32)
    found = retrieval(points, np.array(list("aababb")), np.arange(6), [1, 2])
    # Nearest, and whether it is the same letter: a yes, a yes, b no, a no, b yes, b no... by query:
    #   0: a|b a b b   1: a|b a b b   3: a a|a b b -> ranks of the first b: 4
    #   6.4: b b|b ...  7.5: b a|b ...  8.5: b a|b ...
    assert found[1] == pytest.approx(4 / 6)
    assert found["r_precision"] == pytest.approx((1 / 2 + 1 / 2 + 0 + 0 + 1 / 2 + 1 / 2) / 6)
    assert found["map_at_r"] == pytest.approx((1 / 2 + 1 / 2 + 0 + 0 + 1 / 2 + 1 / 2) / 6)
    assert found["mrr"] == pytest.approx((1 + 1 + 1 / 4 + 1 / 4 + 1 + 1) / 6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_rows_changes_no_bit(kind):
    points, labels, ids = data(kind, 200, 3, seed=4)
    other = np.random.default_rng(0).permutation(200)
    assert retrieval(points, labels, ids, [1, 3]) == retrieval(
        points[other], labels[other], ids[other], [1, 3]
    )


def test_all_equal_embeddings_score_chance():
    labels = np.repeat(np.arange(10), 60)
    found = retrieval(np.full((600, 8), 0.3, np.float32), labels, np.arange(600), [1])
    assert found[1] == pytest.approx(0.1, abs=0.03)
    assert found["r_precision"] == pytest.approx(59 / 599, abs=0.01)
    assert found["map_at_r"] < 0.03


def test_dropping_the_first_column_is_something_else():
    """Of equal embeddings the first column is the image itself only by chance."""
    labels = np.arange(40) // 2  # twenty classes of two
    points = np.repeat(np.random.default_rng(0).normal(size=(10, 3)), 4, axis=0).astype(np.float32)
    right = retrieval(points, labels, np.arange(40), [1], ["recall"])[1]
    wide = np.square(points[:, None] - points[None]).sum(axis=2)
    dropped = np.argsort(wide, axis=1, kind="stable")[:, 1:2]
    # Four images are equal; the first of the four stays in the lists of the others, and each of
    # those finds itself in the second or a later column.
    wrong = (labels[dropped] == labels[:, None]).mean()
    assert abs(wrong - right) > 0.1


def test_classes_of_one_image_only():
    points, _, ids = data("plain", 12, 3, seed=0)
    found = retrieval(points, np.arange(12), ids, [1, 5])
    assert found == {1: 0.0, 5: 0.0, "r_precision": None, "map_at_r": None, "mrr": None}


def test_recall_of_a_tensor_is_that_of_the_evaluation():
    import torch

    points, labels, ids = data("plain", 300, 6, seed=5)
    expected = retrieval(points, labels, ids, [7])[7]
    assert knn.recall_at(torch.from_numpy(points), labels, ids, 7) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_changes_no_bit(kind):
    if not load_faiss().get_num_gpus():
        pytest.skip("faiss sees no GPU")
    points, labels, ids = data(kind, 3000, 16, seed=5)
    for k in (5, 200):
        expected = retrieval(points, labels, ids, [k])
        assert retrieval(points, labels, ids, [k], gpu=True) == expected


def test_nan_is_refused():
    with pytest.raises(DataError, match="NaN"):
        retrieval(np.full((4, 2), math.nan, np.float32), np.arange(4), np.arange(4), [1])
