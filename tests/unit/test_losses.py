"""Losses against plain float64 loops written from the formulas."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmlbench.losses.base import get_loss, loss_names
from dmlbench.samplers.triplets import Triplets
from dmlbench.training.optimizer import build_optimizer


def distance(a, b, squared):
    total = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return total if squared else math.sqrt(total)


def contrastive_loop(points, labels, triplets, loss):
    terms = []
    for a, p, n in triplets:
        terms.append(distance(points[a], points[p], loss.squared))
        terms.append(max(0.0, loss.margin - distance(points[a], points[n], loss.squared)))
    return sum(terms) / len(terms)


def triplet_loop(points, labels, triplets, loss):
    terms = [
        max(
            0.0,
            distance(points[a], points[p], loss.squared)
            - distance(points[a], points[n], loss.squared)
            + loss.margin,
        )
        for a, p, n in triplets
    ]
    return sum(terms) / len(terms)


def margin_loop(points, labels, triplets, loss):
    terms = []
    for a, p, n in triplets:
        beta = loss.beta[labels[a]].item()
        terms.append(max(0.0, distance(points[a], points[p], False) - beta + loss.margin))
        terms.append(max(0.0, beta - distance(points[a], points[n], False) + loss.margin))
    return sum(terms) / max(1, sum(t > 0 for t in terms))


LOOPS = {"contrastive": contrastive_loop, "triplet": triplet_loop, "margin": margin_loop}
CASES = [
    ("contrastive", {}),
    ("contrastive", {"squared": False, "margin": 0.5}),
    ("triplet", {}),
    ("triplet", {"squared": False, "margin": 1.0}),
    ("margin", {}),
    ("margin", {"beta": 0.7, "margin": 0.1}),
]


def batch(seed, size, dim):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(size, dim, generator=generator)
    labels = torch.arange(size) % 2
    anchor = torch.randint(size, (3 * size,), generator=generator)
    step = 2 * torch.randint(1, size // 2, (3 * size,), generator=generator)
    positive = (anchor + step) % size
    negative = (anchor + step + 1) % size
    return points, labels, Triplets(anchor, positive, negative)


@pytest.mark.parametrize(("name", "options"), CASES)
@given(seed=st.integers(0, 10**6), half=st.integers(2, 12), dim=st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_value_equals_the_loop(name, options, seed, half, dim):
    points, labels, triplets = batch(seed, 2 * half, dim)
    loss = get_loss(name)(num_classes=2, embedding_dim=dim, **options)
    value, active = loss(points, labels, triplets)
    rows = list(zip(*(t.tolist() for t in vars(triplets).values()), strict=True))
    expected = LOOPS[name](points.double().tolist(), labels.tolist(), rows, loss)
    assert value.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert 0 <= active <= 2 * len(rows)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradient_equals_finite_differences(name, options):
    points, labels, triplets = batch(3, 12, 4)
    loss = get_loss(name)(num_classes=2, embedding_dim=4, **options).double()
    # forward() computes in float32; terms() follows its input, which is what gradcheck needs.
    points = points.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss.terms(x, labels, triplets), points)


@pytest.mark.parametrize("name", loss_names())
class TestEveryRegisteredLoss:
    def make(self, name):
        torch.manual_seed(0)
        return get_loss(name)(num_classes=2, embedding_dim=4)

    def test_no_triplets_give_exactly_zero_and_a_gradient(self, name):
        points = torch.randn(4, 4, requires_grad=True)
        empty = torch.empty(0, dtype=torch.long)
        value, active = self.make(name)(points, torch.tensor([0, 0, 1, 1]), Triplets(*[empty] * 3))
        value.backward()
        assert value.item() == 0
        assert active == 0
        assert (points.grad == 0).all()

    def test_collapsed_embeddings_have_a_finite_gradient(self, name):
        points = torch.ones(12, 4, requires_grad=True)
        _, labels, triplets = batch(0, 12, 4)
        value, _ = self.make(name)(points, labels, triplets)
        value.backward()
        assert value.isfinite()
        assert points.grad.isfinite().all()

    def test_half_precision_input_is_computed_in_float32(self, name):
        points, labels, triplets = batch(1, 12, 4)
        value, _ = self.make(name)(points.half(), labels, triplets)
        assert value.dtype == torch.float32
        assert value.isfinite()

    def test_state_survives_a_round_trip(self, name):
        loss, other = self.make(name), self.make(name)
        for parameter in loss.parameters():
            parameter.data.add_(0.25)
        other.load_state_dict(loss.state_dict())
        points, labels, triplets = batch(2, 12, 4)
        assert loss(points, labels, triplets)[0] == other(points, labels, triplets)[0]

    def test_one_step_moves_every_parameter(self, name):
        loss = self.make(name)
        network = torch.nn.Linear(4, 4)
        before = [p.detach().clone() for p in (*loss.parameters(), *network.parameters())]
        spec = {"name": "adam", "lr": 0.1, "weight_decay": 0.0}
        optimizer = build_optimizer(spec, network, loss)
        points, labels, triplets = batch(4, 12, 4)
        loss(network(points), labels, triplets)[0].backward()
        optimizer.step()
        after = [*loss.parameters(), *network.parameters()]
        assert all((a != b).any() for a, b in zip(after, before, strict=True))


def test_margin_beta_has_its_own_rate_and_no_decay():
    loss = get_loss("margin")(num_classes=3, embedding_dim=2, beta_lr=0.5)
    spec = {"name": "adam", "lr": 0.1, "weight_decay": 0.2}
    groups = build_optimizer(spec, torch.nn.Linear(2, 2), loss).param_groups
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.1, 0.2), (0.5, 0.0)]


def test_equals_pytorch_metric_learning_where_the_definitions_coincide():
    from pytorch_metric_learning import distances, losses, reducers

    points, labels, triplets = batch(5, 16, 6)
    theirs = losses.TripletMarginLoss(
        margin=0.3,
        distance=distances.LpDistance(normalize_embeddings=False),
        reducer=reducers.MeanReducer(),
    )
    tuples = (triplets.anchor, triplets.positive, triplets.negative)
    ours = get_loss("triplet")(num_classes=2, embedding_dim=6, margin=0.3, squared=False)
    expected = theirs(points, labels, tuples).item()
    assert ours(points, labels, triplets)[0].item() == pytest.approx(expected, rel=1e-5)
