"""Selection rules against plain loops, and what they do where there is nothing to choose."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from selection_loops import (
    NEGATIVE_SETS,
    NEGATIVES,
    POSITIVE_SETS,
    POSITIVES,
    Anchor,
    distance_weights,
)

from dmlbench.plugins.registry import REGISTRIES
from dmlbench.samplers.batch import Batch, PairSets, Triplets
from dmlbench.samplers.sampler import build_sampler, sample_one

ANY = given(
    seed=st.integers(0, 10**6),
    size=st.integers(2, 24),
    classes=st.integers(1, 5),
    dim=st.integers(2, 12),
)
SHAPES = settings(max_examples=25)


def batch_of(points, labels, content=None, seed=0):
    points = torch.as_tensor(points)
    content = torch.arange(len(points)) if content is None else torch.as_tensor(content)
    generator = torch.Generator().manual_seed(seed)
    return Batch.of(points, torch.as_tensor(labels), content, generator)


def random_batch(seed, size, classes, dim=6, copies=True):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(size, dim, generator=generator, dtype=torch.float64)
    points = torch.nn.functional.normalize(points, dim=1)
    labels = torch.randint(classes, (size,), generator=generator)
    content = torch.randint(size, (size,), generator=generator) if copies else torch.arange(size)
    return batch_of(points, labels, content, seed)


def choose(batch, positive, negative):
    parts = {"positive": positive, "negative": negative}
    parts = {k: v if isinstance(v, dict) else {"type": v} for k, v in parts.items()}
    return build_sampler({**parts, "miner": None})(batch)


def chosen_pairs(triplets):
    return list(zip(*(rows.tolist() for rows in triplets.indices()), strict=True))


@pytest.mark.parametrize("negative", NEGATIVES)
@pytest.mark.parametrize("positive", [*POSITIVES, "all"])
@ANY
@SHAPES
def test_single_choices_are_what_the_loop_allows(positive, negative, seed, size, classes, dim):
    batch = random_batch(seed, size, classes, dim)
    triplets = choose(batch, positive, negative)
    assert isinstance(triplets, Triplets)
    rows, expected = chosen_pairs(triplets), []
    for i in range(size):
        anchor = Anchor(batch, i)
        if not anchor.positives or not anchor.negatives:
            continue
        mine = [(p, n) for a, p, n in rows if a == i]
        if positive == "all":
            assert [p for p, _ in mine] == anchor.positives
        else:
            assert len(mine) == 1
            assert mine[0][0] in POSITIVES[positive](anchor)
        assert all(n in NEGATIVES[negative](anchor, p) for p, n in mine)
        expected += [i] * len(mine)
    assert [a for a, _, _ in rows] == expected


@pytest.mark.parametrize("negative", NEGATIVE_SETS)
@pytest.mark.parametrize("positive", [*POSITIVE_SETS, "easy"])
@ANY
@SHAPES
def test_sets_are_those_of_the_loop(positive, negative, seed, size, classes, dim):
    batch = random_batch(seed, size, classes, dim)
    name, _, to = negative.partition(" to ")
    sets = choose(batch, positive, {"type": name, **({"relative_to": to} if to else {})})
    assert isinstance(sets, PairSets)
    for i in range(size):
        anchor = Anchor(batch, i)
        rule = POSITIVE_SETS.get(positive) or (lambda a: set(POSITIVES["easy"](a)))
        positives = rule(anchor) if anchor.positives else set()
        negatives = NEGATIVE_SETS[negative](anchor, positives)
        if not positives or not negatives:
            positives = negatives = set()
        assert set(sets.positives[i].nonzero().flatten().tolist()) == positives
        assert set(sets.negatives[i].nonzero().flatten().tolist()) == negatives


@pytest.mark.parametrize(
    ("positive", "negative"),
    [("random", "hard"), ("softhard", "hard")] + [("easy", n) for n in NEGATIVES],
)
def test_draws_have_the_probabilities_of_the_loop(positive, negative):
    batch = random_batch(3, 14, 2, copies=False)
    anchor = Anchor(batch, 0)
    counts = {}
    for _ in range(4000):
        triplets = choose(batch, positive, negative)
        pair = (triplets.positive[0].item(), triplets.negative[0].item())
        counts[pair] = counts.get(pair, 0) + 1
    expected = {
        (p, n): chance * share
        for p, chance in POSITIVES[positive](anchor).items()
        for n, share in NEGATIVES[negative](anchor, p).items()
    }
    assert set(counts) <= set(expected)
    for pair, share in expected.items():
        spread = math.sqrt(share * (1 - share) / 4000)
        assert counts.get(pair, 0) / 4000 == pytest.approx(share, abs=5 * spread + 1e-9)


@ANY
@SHAPES
def test_distance_weights_follow_the_density(seed, size, classes, dim):
    batch = random_batch(seed, size, classes, max(dim, 3))
    weights = REGISTRIES["negative"].get("distance")().weights(batch)
    for i in range(size):
        anchor = Anchor(batch, i)
        total = weights[i].sum().item()
        shares = distance_weights(anchor) if anchor.negatives else {}
        for j, share in shares.items():
            assert weights[i, j].item() / total == pytest.approx(share, rel=1e-6, abs=1e-12)


def test_one_near_pair_does_not_silence_the_other_anchors():
    # With the batch's largest weight subtracted instead of the row's, all other rows underflow.
    batch = random_batch(1, 112, 1, dim=512)
    points = batch.embeddings.float()
    points[1] = points[0] + 1e-3
    choice = REGISTRIES["negative"].get("distance")(upper_cutoff=2.0)
    weights = choice.weights(batch_of(points, torch.arange(112) % 56))
    assert (weights.sum(dim=1) > 0).all()


def test_easy_positive_tells_apart_what_lies_within_the_distance_cutoff():
    # Clamping distances at 0.5 before the argmin, as some code does, would take the first.
    batch = batch_of([[0.0, 0], [0.4, 0], [0.1, 0], [3.0, 0]], [0, 0, 0, 1])
    assert choose(batch, "easy", "random").positive[0] == 2


def test_a_second_copy_of_an_image_is_no_positive():
    batch = batch_of([[0.0, 0], [0.0, 0], [1.0, 0], [5.0, 0]], [0, 0, 0, 1], [7, 7, 8, 9])
    assert {a: p for a, p, _ in chosen_pairs(choose(batch, "easy", "random"))} == {0: 2, 1: 2, 2: 0}
    sets = choose(batch, "all", "all")
    assert sets.positives.nonzero().tolist() == [[0, 2], [1, 2], [2, 0], [2, 1]]


POSITIVE_NAMES, NEGATIVE_NAMES = REGISTRIES["positive"].classes(), REGISTRIES["negative"].classes()


@pytest.mark.parametrize("negative", NEGATIVE_NAMES)
@pytest.mark.parametrize("positive", POSITIVE_NAMES)
class TestEveryCombination:
    def test_one_class_or_one_image_per_class_gives_no_tuple(self, positive, negative):
        points = torch.randn(4, 3)
        for labels in ([0, 0, 0, 0], [0, 1, 2, 3]):
            assert len(choose(batch_of(points, labels), positive, negative).indices()[0]) == 0

    def test_an_image_alone_in_its_class_is_never_an_anchor(self, positive, negative):
        batch = batch_of(torch.randn(5, 3), [0, 0, 1, 1, 2])
        anchors = choose(batch, positive, negative).indices()[0]
        assert 4 not in anchors

    def test_collapsed_embeddings_give_every_anchor_its_tuple(self, positive, negative):
        batch = batch_of(torch.full((6, 3), 0.3), [0, 0, 0, 1, 1, 1])
        tuples = choose(batch, positive, negative)
        assert set(tuples.indices()[0].tolist()) == set(range(6))
        labels = batch.labels
        indices = tuples.indices()
        assert (labels[indices[0]] == labels[indices[1]]).all()
        a, n = (indices[0], indices[2]) if len(indices) == 3 else indices[2:]
        if negative == "rho_distance":  # some are swapped: no pair is pulled that is pushed
            a, n = (rows[indices[0] != indices[1]] for rows in (a, n))
        assert (labels[a] != labels[n]).all()

    @pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
    def test_an_embedding_that_is_not_finite_raises_nothing(self, positive, negative, wrong):
        points = torch.randn(8, 3)
        points[2] = wrong
        indices = choose(batch_of(points, [0, 0, 1, 1] * 2), positive, negative).indices()
        assert all(((rows >= 0) & (rows < 8)).all() for rows in indices)

    def test_autocast_changes_nothing(self, positive, negative):
        points, labels = torch.randn(24, 16).bfloat16(), torch.arange(24) % 3
        plain = choose(batch_of(points.float(), labels), positive, negative)
        with torch.autocast("cpu", torch.bfloat16):
            half = choose(batch_of(points, labels), positive, negative)
        assert all(torch.equal(a, b) for a, b in zip(plain.indices(), half.indices(), strict=True))


def test_draws_follow_weights_and_never_take_a_zero():
    weights = torch.tensor([[0.0, 1 / 3, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    rows = torch.tensor([0] * 8000 + [2] * 50 + [1] * 50)
    drawn = sample_one(weights, rows, torch.Generator().manual_seed(0))
    shares = drawn[:8000].bincount(minlength=4) / 8000
    assert shares.tolist() == pytest.approx([0, 0.25, 0.75, 0], abs=0.03)
    assert (drawn[8000:8050] == 0).all()
    assert ((drawn >= 0) & (drawn < 4)).all()
