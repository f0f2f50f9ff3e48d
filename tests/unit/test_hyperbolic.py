"""Distances in the Poincare ball: the formula, its edges, and a training by them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_loops import poincare_distance
from test_samplers import choose

from dmlbench.losses.building import build_loss
from dmlbench.losses.hyperbolic import poincare_distances
from dmlbench.samplers.batch import Batch


@given(
    seed=st.integers(0, 10**6),
    curvature=st.sampled_from([0.01, 0.1, 1.0]),
    clip=st.sampled_from([0.5, 2.3, 5.0]),
    dim=st.integers(2, 16),
)
@settings(max_examples=30)
def test_distances_equal_the_formula_with_arccosh(seed, curvature, clip, dim):
    generator = torch.Generator().manual_seed(seed)
    points = 2 * torch.randn(6, dim, generator=generator, dtype=torch.float64)
    found = poincare_distances(points, curvature, clip)
    for i in range(6):
        for j in range(6):
            expected = poincare_distance(points[i], points[j], curvature, clip) if i != j else 0.0
            assert found[i, j].item() == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_near_the_border_are_those_of_the_hyperbolic_plane(dtype):
    """c = 1: lengths 15 and 19 lie within 1e-12 of the border, where the formula divides by 0."""
    u, v = 15.0, 19.0
    points = torch.tensor([[u, 0], [v, 0], [-v, 0], [0, v]], dtype=dtype)
    d = poincare_distances(points, 1.0, 20.0)
    close = {"rel": 1e-6 if dtype == torch.float32 else 1e-12}
    assert d[0, 1].item() == pytest.approx(2 * (v - u), **close)  # on one ray
    assert d[0, 2].item() == pytest.approx(2 * (u + v), **close)  # through the centre
    # At a right angle cosh D = cosh 2u cosh 2v, of which e^2u / 2 is all but 1e-13.
    assert d[0, 3].item() == pytest.approx(2 * u + 2 * v - math.log(2), **close)


def test_two_points_that_nearly_coincide_keep_their_distance():
    """arccosh of 1 + 1e-9 is zero in float32, or twice too large."""
    points = torch.tensor([[1.0, 0], [1.0, 1e-4]])
    found = poincare_distances(points, 0.1, 2.3)[0, 1].item()
    # Near a point the ball is flat: sinh(2 sqrt(c) |x|) / (2 sqrt(c) |x|) times 2 across a ray.
    root = 2 * 0.1**0.5
    assert found == pytest.approx(2e-4 * math.sinh(root) / root, rel=1e-5)


def test_long_embeddings_are_clipped_and_move_across_only():
    points = torch.tensor([[4.0, 3.0], [-6.0, 1.0], [0.3, 0.1]], requires_grad=True)
    d = poincare_distances(points, 0.1, 2.3)
    scaled = points.detach().clone()
    scaled[:2] *= 2.3 / scaled[:2].norm(dim=1, keepdim=True)
    torch.testing.assert_close(d, poincare_distances(scaled, 0.1, 2.3))
    torch.testing.assert_close(
        d, poincare_distances(torch.cat([10 * points[:2], points[2:]]), 0.1, 2.3)
    )
    d.sum().backward()
    across = (points.grad * points.detach()).sum(dim=1).abs() / points.grad.norm(dim=1)
    assert (across[:2] < 1e-6).all()
    assert across[2] > 1e-3


@pytest.mark.parametrize(
    "points",
    [[[0.0, 0], [0, 0], [1, 0], [1, 0]], [[1e-30, 0], [0, 1e-30], [1e30, 0], [1e30, 1.0]]],
    ids=["origin and copies", "tiny and huge"],
)
def test_gradients_are_finite_where_the_formula_has_none(points):
    points = torch.tensor(points, requires_grad=True)
    batch = Batch.of(points, torch.tensor([0, 1, 0, 1]))
    loss = build_loss({"type": "hyperbolic"}, 2, 2)
    value = loss.similarities(batch).sum()
    value.backward()
    assert value.isfinite()
    assert points.grad.isfinite().all()


def test_steps_against_the_gradient_separate_two_classes():
    generator = torch.Generator().manual_seed(0)
    points = (0.1 * torch.randn(12, 3, generator=generator)).requires_grad_()
    labels = torch.arange(12) % 3
    loss, optimizer = build_loss({"type": "hyperbolic"}, 3, 3), torch.optim.Adam([points], 0.05)
    for _ in range(150):
        batch = Batch.of(points, labels)
        value = loss(batch, choose(batch, "all", "all")).value
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    d = poincare_distances(points.detach(), 0.1, 2.3)
    same = labels[:, None] == labels
    assert d[same].max() < 0.5 * d[~same].min()
