"""Neighbours and Recall@K against plain loops and cases that can be checked by eye."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmlbench.neighbours.knn import nearest_neighbours, recall_at, tie_keys


def loop(points, ids, k):
    keys = tie_keys(ids)
    rows = points.astype(np.float64)
    found = []
    for i in range(len(rows)):
        order = sorted(
            (j for j in range(len(rows)) if j != i),
            key=lambda j: (np.square(rows[i] - rows[j]).sum(), keys[j]),
        )
        found.append(order[:k])
    return np.array(found)


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(3, 60),
    dim=st.integers(1, 5),
    grid=st.booleans(),
    data=st.data(),
)
@settings(max_examples=60)
def test_equals_the_loop_with_ties_and_duplicates(seed, count, dim, grid, data):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, dim)).astype(np.float32)
    if grid:  # integer coordinates: distances are exact and ties are everywhere
        points = rng.integers(0, 3, size=(count, dim)).astype(np.float32) * 2
    ids = rng.permutation(10 * count)[:count]
    k = data.draw(st.integers(1, count - 1))
    expected = loop(points, ids, k)
    assert (nearest_neighbours(points, ids, k) == expected).all()


def test_equals_faiss_on_many_points():
    import faiss

    points = np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float32)
    index = faiss.IndexFlatL2(16)
    index.add(points)
    theirs = index.search(points, 6)[1][:, 1:]
    assert (nearest_neighbours(points, np.arange(3000), 5) == theirs).mean() > 0.9999


def test_six_points_by_eye():
    # On a line: a a . b . . a b b. The first b and the third a have a neighbour of the other class.
    points = np.array([[0.0], [1], [3.0], [6.4], [7.5], [8.5]], dtype=np.float32)
    labels = np.array([0, 0, 1, 0, 1, 1])
    recalls = {k: recall_at(points, labels, np.arange(6), k) for k in (1, 5)}
    nearest = nearest_neighbours(points, np.arange(6), 1)[:, 0]
    assert nearest.tolist() == [1, 0, 1, 4, 5, 4]
    assert recalls[1] == pytest.approx(4 / 6)
    assert recalls[5] == 1.0


def test_a_duplicate_is_a_neighbour_and_the_image_itself_is_not():
    points = np.array([[0.0], [0.0], [5.0], [5.0]], dtype=np.float32)
    assert nearest_neighbours(points, np.arange(4), 1)[:, 0].tolist() == [1, 0, 3, 2]
    # Dropping the first column of a search that keeps the image itself would get this wrong:
    order = np.argsort(np.abs(points - points.T), axis=1, kind="stable")
    assert (order[:, 0] != np.arange(4)).any()


def test_collapsed_embeddings_score_chance():
    labels = np.repeat(np.arange(10), 30)
    recall = recall_at(np.ones((300, 4), np.float32), labels, np.arange(300), 1)
    assert recall == pytest.approx(0.1, abs=0.01)


def test_row_order_changes_nothing():
    rng = np.random.default_rng(3)
    points = rng.integers(0, 3, size=(200, 2)).astype(np.float32)
    labels, ids = rng.integers(0, 5, 200), np.arange(200)
    shuffled = rng.permutation(200)
    assert recall_at(points, labels, ids, 3) == recall_at(
        points[shuffled], labels[shuffled], ids[shuffled], 3
    )


def test_far_from_the_origin_near_pairs_are_still_told_apart():
    # Float32 inner products would lose these differences altogether.
    rng = np.random.default_rng(0)
    points = (1000 + rng.normal(size=(100, 2)) * 0.01).astype(np.float32)
    expected = loop(points, np.arange(100), 3)
    assert (nearest_neighbours(points, np.arange(100), 3) == expected).all()


def test_an_image_alone_in_its_class_counts_as_missed():
    points = np.array([[0.0], [0.1], [9.0]], dtype=np.float32)
    assert recall_at(points, np.array([0, 0, 1]), np.arange(3), 1) == pytest.approx(2 / 3)


@pytest.mark.parametrize("k", [0, 4, 99])
def test_impossible_k_is_refused(k):
    with pytest.raises(ValueError, match="k must be in"):
        nearest_neighbours(np.zeros((4, 2), np.float32), np.arange(4), k)


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        nearest_neighbours(np.full((4, 2), math.nan, np.float32), np.arange(4), 1)
