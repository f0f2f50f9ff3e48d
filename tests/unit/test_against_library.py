"""pytorch-metric-learning 2.9.0: equal where the definitions coincide, different on purpose."""

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers

from dmlbench.losses.building import build_loss
from dmlbench.plugins.registry import REGISTRIES
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.sampler import build_sampler

#: The library normalises embeddings by default, which changes gradients even of unit vectors.
PLAIN, SQUARED = (distances.LpDistance(normalize_embeddings=False, power=p) for p in (1, 2))
MEAN = reducers.MeanReducer()


def batch_of(seed=0, size=24, classes=4, dim=8, shrink=1.0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(size, dim, generator=generator)
    points[:, 1:] *= shrink
    points = torch.nn.functional.normalize(points, dim=1)
    return Batch.of(points, torch.arange(size) % classes, torch.arange(size), generator)


def choose(batch, positive, negative):
    parts = {"positive": positive, "negative": negative}
    parts = {k: v if isinstance(v, dict) else {"type": v} for k, v in parts.items()}
    return build_sampler({**parts, "miner": None})(batch)


def both_with_gradient(our_loss, their_loss, batch, tuples):
    values, gradients = [], []
    for loss in (our_loss, their_loss):
        points = batch.embeddings.clone().requires_grad_()
        value = (
            loss(Batch.of(points, batch.labels), tuples).value
            if loss is our_loss
            else loss(points, batch.labels, tuples.indices())
        )
        value.backward()
        values.append(value.detach())
        gradients.append(points.grad)
    return values, gradients


#: Ours, theirs and the tuples on which they agree.
EQUAL = {
    "triplet, listed": (
        {"type": "triplet", "margin": 0.3, "squared": False},
        losses.TripletMarginLoss(margin=0.3, distance=PLAIN, reducer=MEAN),
        ("random", "random"),
    ),
    "triplet, every one": (
        {"type": "triplet", "margin": 0.3, "squared": False},
        losses.TripletMarginLoss(margin=0.3, distance=PLAIN, reducer=MEAN),
        ("all", "all"),
    ),
    "triplet, squared": (
        {"type": "triplet"},
        losses.TripletMarginLoss(margin=0.2, distance=SQUARED, reducer=MEAN),
        ("easy", "hard"),
    ),
    "margin": (
        {"type": "margin", "beta": 0.9},
        losses.MarginLoss(margin=0.2, nu=0, beta=0.9, distance=PLAIN),
        ("all", "distance"),
    ),
    "Multi-Similarity, mined": (
        {"type": "multi_similarity", "threshold": 0.5},
        losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
        ("multi_similarity", "multi_similarity"),
    ),
    "Multi-Similarity, all pairs": (
        {"type": "multi_similarity"},
        losses.MultiSimilarityLoss(alpha=2, beta=50, base=1.0),
        ("all", "all"),
    ),
    "NT-Xent, all pairs": (
        {"type": "nt_xent", "temperature": 0.2},
        losses.NTXentLoss(temperature=0.2),
        ("all", "all"),
    ),
    "NT-Xent, EPSHN": (
        {"type": "nt_xent"},
        losses.NTXentLoss(temperature=0.1),
        ("easy", "hardest_semihard"),
    ),
}


@pytest.mark.parametrize("case", EQUAL)
@pytest.mark.parametrize("seed", range(5))
def test_losses_are_equal(case, seed):
    spec, theirs, choices = EQUAL[case]
    batch = batch_of(seed)
    tuples = choose(batch, *choices)
    values, gradients = both_with_gradient(build_loss(spec, 4, 8), theirs, batch, tuples)
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 9.0])
def test_proxy_nca_with_the_positive_in_the_denominator_is_equal_and_without_is_not(scale):
    batch = batch_of()
    theirs = losses.ProxyNCALoss(4, 8, softmax_scale=scale)
    values = {}
    for inside in (True, False):
        spec = {"type": "proxy_nca", "scale": scale, "positive_in_denominator": inside}
        mine = build_loss(spec, 4, 8)
        mine.proxies.data.copy_(theirs.proxies.data)
        values[inside] = mine(batch).value.item()
    expected = theirs(batch.embeddings, batch.labels).item()
    assert values[True] == pytest.approx(expected, rel=1e-5)
    assert values[False] < expected  # the softmax denominator is larger by one term


def test_contrastive_averages_pairs_together_where_the_library_averages_kinds_apart():
    batch = batch_of()
    mine = build_loss({"type": "contrastive", "squared": False}, 4, 8)
    sets = choose(batch, "all", "all")
    values, counted = mine.terms(batch, sets)
    kinds = [values[m & counted] for m in (sets.positives, sets.negatives)]
    theirs = losses.ContrastiveLoss(pos_margin=0, neg_margin=1)(batch.embeddings, batch.labels)
    apart = sum(terms[terms > 0].mean() for terms in kinds)
    assert theirs.item() == pytest.approx(apart.item(), rel=1e-5)
    value = mine(batch, sets).value.item()
    assert value == pytest.approx(torch.cat(kinds).mean().item(), rel=1e-6)
    assert value != pytest.approx(theirs.item(), rel=0.1)


def test_triplet_averages_all_terms_where_the_library_averages_the_active_ones():
    batch = batch_of()
    tuples = choose(batch, "easy", "random")
    mine = build_loss({"type": "triplet", "squared": False}, 4, 8)
    result = mine(batch, tuples)
    theirs = losses.TripletMarginLoss(margin=0.2)(batch.embeddings, batch.labels, tuples.indices())
    assert result.active < 24
    assert result.value * 24 / result.active == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_multi_similarity_mining_is_equal(seed):
    batch = batch_of(seed, shrink=0.4)
    mine = choose(batch, "multi_similarity", "multi_similarity").indices()
    theirs = miners.MultiSimilarityMiner(epsilon=0.1)(batch.embeddings, batch.labels)
    for rows in (slice(0, 2), slice(2, 4)):
        assert set(zip(*(r.tolist() for r in mine[rows]), strict=True)) == set(
            zip(*(r.tolist() for r in theirs[rows]), strict=True)
        )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("positive", ["easy", "hard"])
def test_easy_and_hard_choices_are_equal(seed, positive):
    batch = batch_of(seed)
    mine = choose(batch, positive, "hard").indices()
    theirs = miners.BatchEasyHardMiner(positive, "hard")(batch.embeddings, batch.labels)
    assert all(torch.equal(mine[i], theirs[j]) for i, j in enumerate((0, 1, 3)))


@pytest.mark.parametrize("seed", range(5))
def test_easy_positives_with_the_hardest_semihard_negatives_are_equal(seed):
    batch = batch_of(seed, shrink=0.4)
    mine = choose(batch, "easy", "hardest_semihard").indices()
    theirs = miners.BatchEasyHardMiner("easy", "semihard")(batch.embeddings, batch.labels)
    assert all(torch.equal(mine[i], theirs[j]) for i, j in enumerate((0, 1, 3)))


def test_the_semihard_band_of_every_positive_is_the_librarys():
    batch = batch_of(3)
    mining = miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard")
    listed = {tuple(t) for t in torch.stack(mining(batch.embeddings, batch.labels)).T.tolist()}
    pairs = {pair[:2] for pair in listed}
    drawn = set()
    for _ in range(300):
        drawn |= {
            tuple(t) for t in torch.stack(choose(batch, "all", "semihard").indices()).T.tolist()
        }
    assert {t for t in drawn if t[:2] in pairs} == listed
    assert len(listed) > 100


def test_semihard_draws_from_a_band_where_the_library_takes_the_hardest_beyond_the_positive():
    batch = batch_of(1)
    theirs = miners.BatchEasyHardMiner("easy", "semihard")(batch.embeddings, batch.labels)
    hardest = dict(zip(theirs[2].tolist(), theirs[3].tolist(), strict=True))
    drawn = {a: set() for a in range(24)}
    for _ in range(100):
        triplets = choose(batch, "easy", "semihard")
        for a, n in zip(triplets.anchor.tolist(), triplets.negative.tolist(), strict=True):
            drawn[a].add(n)
    inside = batch.distances < batch.distances.masked_fill(~batch.positives, 9).amin(1, True) + 0.2
    compared = [a for a, n in hardest.items() if inside[a, n]]
    assert len(compared) > 10
    assert all(hardest[a] in drawn[a] for a in compared)
    assert max(len(drawn[a]) for a in compared) > 1


@pytest.mark.parametrize("dim", [4, 16, 64])
def test_distance_weights_are_equal(dim, monkeypatch):
    batch, seen = batch_of(2, size=40, classes=5, dim=dim), []
    batch = Batch.of(torch.nn.functional.normalize(batch.embeddings.double()), batch.labels)
    monkeypatch.setattr(
        "pytorch_metric_learning.utils.loss_and_miner_utils.get_random_triplet_indices",
        lambda *args, weights, **others: seen.append(weights) or (torch.zeros(0).long(),) * 3,
    )
    miners.DistanceWeightedMiner()(batch.embeddings, batch.labels)
    weights = REGISTRIES["negative"].get("distance")().weights(batch)
    near = (batch.negatives & (batch.distances < 1.4)).any(dim=1)
    shares = weights / weights.sum(dim=1, keepdim=True)
    assert near.sum() > 30
    torch.testing.assert_close(shares[near], seen[0][near], rtol=1e-6, atol=1e-20)


def test_distance_weighting_keeps_the_anchors_that_the_library_loses():
    """One near pair of different classes among spread embeddings of dimension 512."""
    batch = batch_of(0, size=112, classes=56, dim=512)
    batch.embeddings[1] = batch.embeddings[0] + 1e-3
    kept = choose(batch, "random", "distance").indices()[0].unique()
    theirs = miners.DistanceWeightedMiner(nonzero_loss_cutoff=2.0)(batch.embeddings, batch.labels)
    assert len(kept) == 112
    assert len(theirs[0].unique()) < 10
