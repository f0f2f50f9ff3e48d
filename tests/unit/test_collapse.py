"""Collapse measures against loops over all pairs and cases whose answer is known."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from dmlbench.config.dataset_facts import Part
from dmlbench.evaluation.metric import Sample
from dmlbench.evaluation.metrics import collapse
from dmlbench.evaluation.run_metrics import measure_images, with_coarse_labels


def measure_collapse(points, labels, ids, sub_labels=None):
    return measure_images(Sample(points, labels, ids, None, "", sub_labels), ["collapse"])


def data(seed, count=40, dim=3):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, count)
    points = (100 + rng.normal(size=(6, dim))[labels] + rng.normal(size=(count, dim))).astype("f4")
    return points, labels, rng.permutation(1000)[:count]


@given(st.integers(0, 10**6), st.integers(1, 60))
@settings(max_examples=20)
def test_moments_are_those_of_all_pairs(seed, dim):
    points, labels, _ = data(seed, dim=dim)
    similar = {True: [], False: []}
    for i, j in itertools.combinations(range(len(points)), 2):
        difference = points[i].astype(np.float64) - points[j]
        similar[bool(labels[i] == labels[j])].append(-(difference @ difference))
    found = collapse.moments(points, labels)
    assert found.genuine_mean == pytest.approx(np.mean(similar[True]), rel=1e-9)
    assert found.genuine_variance == pytest.approx(np.var(similar[True]), rel=1e-8)
    assert found.impostor_mean == pytest.approx(np.mean(similar[False]), rel=1e-9)
    assert found.impostor_variance == pytest.approx(np.var(similar[False]), rel=1e-8)


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_variance_ratio_is_a_loop_over_classes(seed):
    points, labels, _ = data(seed)
    points = points.astype(np.float64)
    within = sum(
        np.square(points[i] - points[labels == labels[i]].mean(axis=0)).sum()
        for i in range(len(points))
    )
    total = np.square(points - points.mean(axis=0)).sum()
    assert collapse.variance_ratio(points, labels) == pytest.approx(within / total)


def test_collapsed_classes_have_one_mode_and_no_variance():
    labels = np.repeat(np.arange(4), 10)
    points = np.eye(4, dtype=np.float32)[labels]
    assert collapse.variance_ratio(points, labels) == pytest.approx(0, abs=1e-12)
    assert collapse.modes_per_class(points, labels, np.arange(40), 2.0) == pytest.approx(1)


@pytest.mark.parametrize("modes", [1, 2, 5])
def test_a_class_of_groups_as_far_apart_as_classes_has_as_many_modes(modes):
    labels = np.repeat(np.arange(3), 60)
    groups = labels * modes + np.arange(180) % modes
    points = np.eye(3 * modes, dtype=np.float32)[groups]
    apart = -collapse.moments(points, labels).impostor_mean
    found = collapse.modes_per_class(points, labels, np.arange(180), apart)
    assert found == pytest.approx(modes, rel=0.02)


def test_modes_of_a_large_class_come_from_a_sample_that_row_order_does_not_change():
    points, _, _ = data(0, count=1500)
    ids, labels = np.arange(1500), np.zeros(1500)
    order = np.random.default_rng(0).permutation(1500)
    found = collapse.modes_per_class(points, labels, ids, 4.0)
    again = collapse.modes_per_class(points[order], labels[order], ids[order], 4.0)
    assert found == pytest.approx(again)
    assert found == pytest.approx(
        collapse.modes_per_class(points[:700], ids[:700] * 0, ids, 4.0), 0.1
    )


def test_sub_labels_that_stay_apart_and_sub_labels_that_are_lost():
    rng = np.random.default_rng(0)
    digits = np.repeat(np.arange(6), 50)
    apart = np.eye(6)[digits] + 0.01 * rng.normal(size=(300, 6))
    lost = np.eye(2)[digits % 2] + 0.01 * rng.normal(size=(300, 2))
    ids = np.arange(300)
    share, chance = collapse.same_sub_label(apart.astype("f4"), digits % 2, digits, ids)
    assert share == 1
    assert chance == pytest.approx(49 / 149)
    share, _ = collapse.same_sub_label(lost.astype("f4"), digits % 2, digits, ids)
    assert share == pytest.approx(1 / 3, abs=0.08)
    share, _ = collapse.same_sub_label(np.ones((300, 2), "f4"), digits % 2, digits, ids)
    assert share == pytest.approx(1 / 3, abs=0.08)


def test_what_is_not_defined_says_so():
    labels, ids = np.arange(6) // 2, np.arange(6)
    rows = {r["metric"]: r for r in measure_collapse(np.ones((6, 2), "f4"), labels, ids, labels)}
    assert rows["variance_ratio"]["value"] is None
    assert rows["d_prime_of_all"]["value"] is None
    assert rows["modes_per_class"]["value"] == pytest.approx(1)
    points = np.random.default_rng(0).normal(size=(6, 2)).astype("f4")
    rows = {r["metric"]: r for r in measure_collapse(points, ids, ids, None)}
    assert rows["modes_per_class"]["value"] is None
    assert "no two images of one class" in rows["d_prime_of_all"]["note"]
    assert "same_sub_label" not in rows


def test_the_number_of_threads_changes_no_digit():
    rng = np.random.default_rng(0)
    labels, ids = np.repeat(np.arange(4), 300), np.arange(1200)
    vectors = rng.standard_normal((1200, 64)).astype(np.float32)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            found.append(measure_collapse(vectors, labels, ids))
    assert found[0] == found[1]


def test_collapse_is_looked_for_by_the_label_that_was_trained():
    parts = [Part("test", "seen", "digit"), Part("test", "unseen", "digit")]
    found = with_coarse_labels(parts, {"parity": "digit"})
    assert found == [*parts, Part("test", "seen", "parity"), Part("test", "unseen", "parity")]
    assert with_coarse_labels(parts, {}) == parts
