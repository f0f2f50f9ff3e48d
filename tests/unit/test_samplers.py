"""Sampling rules against plain loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmlbench.samplers.batches import class_batches
from dmlbench.samplers.choice import Batch, get_negative
from dmlbench.samplers.sampler import TripletSampler

SPECS = [
    {"positive": {"type": p}, "negative": {"type": n}}
    for p in ("random", "easy")
    for n in ("random", "semihard", "distance")
]


def points_of(seed, size, dim=6):
    points = torch.randn(size, dim, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(points, dim=1)


def choose(spec, points, labels, content=None, seed=0):
    content = torch.arange(len(points)) if content is None else content
    generator = torch.Generator().manual_seed(seed)
    return TripletSampler.from_spec(spec)(points, labels, content, generator)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: "-".join(v["type"] for v in s.values()))
@given(seed=st.integers(0, 10**6), size=st.integers(2, 30), classes=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_roles_are_right_in_any_batch(spec, seed, size, classes):
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(0, classes, size))
    content = torch.from_numpy(rng.integers(0, size, size))  # copies of images are common
    triplets, candidates = choose(spec, points_of(seed, size), labels, content, seed)
    a, p, n = triplets.anchor, triplets.positive, triplets.negative
    assert (labels[a] == labels[p]).all()
    assert (labels[a] != labels[n]).all()
    assert (content[a] != content[p]).all()
    expected = []
    for i in range(size):
        others = [j for j in range(size) if labels[j] == labels[i] and content[j] != content[i]]
        assert candidates[i] == len(others)
        if others and (labels != labels[i]).any():
            expected.append(i)
    assert a.tolist() == expected


@given(seed=st.integers(0, 10**6), size=st.integers(4, 30))
@settings(max_examples=50, deadline=None)
def test_easy_positive_is_the_nearest_other_image_of_the_class(seed, size):
    points, labels = points_of(seed, size), torch.arange(size) % 2
    triplets, _ = choose(SPECS[3], points, labels)
    rows = points.double().tolist()
    for a, p in zip(triplets.anchor.tolist(), triplets.positive.tolist(), strict=True):
        others = [j for j in range(size) if j != a and labels[j] == labels[a]]
        nearest = min(math.dist(rows[a], rows[j]) for j in others)
        assert math.dist(rows[a], rows[p]) == pytest.approx(nearest, rel=1e-6)


def test_easy_positive_skips_a_second_copy_of_the_image():
    points = torch.tensor([[0.0, 0], [0.0, 0], [1.0, 0], [5.0, 0]])
    labels, content = torch.tensor([0, 0, 0, 1]), torch.tensor([7, 7, 8, 9])
    triplets, _ = choose(SPECS[3], points, labels, content)
    chosen = dict(zip(triplets.anchor.tolist(), triplets.positive.tolist(), strict=True))
    assert chosen == {0: 2, 1: 2, 2: 0}


def test_easy_positive_tells_apart_what_lies_within_the_distance_cutoff():
    # Clamping distances at 0.5 before the argmin, as some code does, would take the first.
    points = torch.tensor([[0.0, 0], [0.4, 0], [0.1, 0], [3.0, 0]])
    triplets, _ = choose(SPECS[3], points, torch.tensor([0, 0, 0, 1]))
    assert triplets.positive[0] == 2


def test_random_choices_are_uniform():
    labels = torch.tensor([0] * 5 + [1] * 5)
    counts = torch.zeros(10)
    for seed in range(2000):
        triplets, _ = choose(SPECS[0], points_of(0, 10), labels, seed=seed)
        counts[triplets.positive[0]] += 1
    assert counts[0] == 0
    assert (counts[1:5] - 500).abs().max() < 100


def test_semihard_stays_in_its_band_and_falls_back_to_any_negative():
    points = torch.tensor([[0.0, 0], [1.0, 0], [1.1, 0], [0.5, 0], [9.0, 0]])
    labels = torch.tensor([0, 0, 1, 1, 1])
    for seed in range(20):
        triplets, _ = choose(SPECS[1], points, labels, seed=seed)
        assert triplets.negative[0] == 2  # 1.0 < 1.1 < 1.2; not the nearer 0.5, not 9
    far = torch.tensor([[0.0, 0], [1.0, 0], [9.0, 0], [8.0, 0], [0.5, 0]])
    drawn = {choose(SPECS[1], far, labels, seed=s)[0].negative[0].item() for s in range(60)}
    assert drawn == {2, 3, 4}


def batch_of(points, labels):
    same = labels[:, None] == labels[None, :]
    distances = torch.cdist(points, points)
    return Batch(distances, same, ~same, points.shape[1], torch.Generator().manual_seed(0))


@given(seed=st.integers(0, 10**6), dim=st.integers(3, 40))
@settings(max_examples=25, deadline=None)
def test_distance_weights_follow_the_density(seed, dim):
    points, labels = points_of(seed, 16, dim), torch.arange(16) % 4
    batch = batch_of(points, labels)
    weights = get_negative("distance")().weights(batch)
    for i in range(16):
        logs = {}
        for j in range(16):
            d = batch.distances[i, j].double().item()
            if labels[i] != labels[j] and d < 1.4:
                d = max(d, 0.5)
                logs[j] = (2 - dim) * math.log(d) - (dim - 3) / 2 * math.log(1 - d * d / 4)
        for j in range(16):
            expected = math.exp(logs[j] - max(logs.values())) if j in logs else 0.0
            assert weights[i, j].item() == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_one_near_pair_does_not_silence_the_other_anchors():
    # With the batch's largest weight subtracted instead of the row's, all other rows underflow.
    points = points_of(1, 112, 512)
    labels = torch.arange(112) % 56
    points[1] = points[0] + 1e-3
    weights = get_negative("distance")(upper_cutoff=2.0).weights(batch_of(points, labels))
    assert (weights.sum(dim=1) > 0).all()


def test_distance_falls_back_to_any_negative_beyond_the_cutoff():
    points = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [-1.0, 0, 0], [-1.0, 0, 0]])
    labels = torch.tensor([0, 0, 1, 1])
    drawn = {choose(SPECS[2], points, labels, seed=s)[0].negative[0].item() for s in range(40)}
    assert drawn == {2, 3}


@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=8),
    per_class=st.integers(2, 8),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_batches_draw_classes_and_images_without_replacement(seed, sizes, per_class, data):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    classes = data.draw(st.integers(1, len(sizes)))
    rng = np.random.default_rng(seed)
    batches = list(class_batches(labels, classes * per_class, per_class, rng))
    assert len(batches) == max(1, len(labels) // (classes * per_class))
    for batch in batches:
        assert len(set(batch)) == len(batch)
        values, counts = np.unique(labels[batch], return_counts=True)
        assert len(values) == classes
        assert (counts == np.minimum(per_class, np.array(sizes)[values])).all()


def test_no_image_comes_again_before_its_class_is_used_up():
    labels = np.repeat([0, 1], 64)
    batches = class_batches(labels, 32, 16, np.random.default_rng(0))
    assert sorted(np.concatenate(list(batches))) == list(range(128))
