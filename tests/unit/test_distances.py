"""Distances where float32 products lose their digits."""

import pytest
import torch

from dmlbench.samplers.batch import pairwise_distances


def near_pair(gap: float) -> torch.Tensor:
    """Ten unit vectors in float32, the second at about ``gap`` from the first."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(10, 32, generator=generator)
    points[1] = points[0] + gap * torch.randn(32, generator=generator)
    return torch.nn.functional.normalize(points, dim=1)


def direct(points: torch.Tensor) -> torch.Tensor:
    """Distances by the difference, in float64; the diagonal kept out of the square root."""
    square = (points[:, None] - points[None, :]).square().sum(dim=2)
    return (square + torch.eye(len(points))).sqrt() - torch.eye(len(points))


@pytest.mark.parametrize("gap", [1e-1, 1e-3, 1e-5])
def test_near_duplicates_keep_their_distance_and_its_gradient(gap):
    points = near_pair(gap).requires_grad_()
    exact = points.detach().double().requires_grad_()
    upstream = torch.rand(10, 10, generator=torch.Generator().manual_seed(1))
    distances, reference = pairwise_distances(points), direct(exact)
    torch.testing.assert_close(distances.double(), reference, rtol=1e-4, atol=0)
    (gradient,) = torch.autograd.grad(distances, points, upstream)
    (wanted,) = torch.autograd.grad(reference, exact, upstream.double())
    # What rounding the two points to float32 does to the direction between them.
    assert (gradient - wanted).norm() / wanted.norm() < 1e-6 + 1e-6 / gap


def test_one_embedding_far_away_costs_the_others_no_digits():
    points = torch.cat([near_pair(0.1), torch.full((1, 32), 1e6)])
    near = pairwise_distances(points)[:10, :10].double()
    torch.testing.assert_close(near, direct(points[:10].double()), rtol=1e-4, atol=0)


def test_copies_are_at_zero_and_have_no_gradient():
    points = torch.ones(3, 8, requires_grad=True)
    distances = pairwise_distances(points)
    (gradient,) = torch.autograd.grad(distances.sum(), points)
    assert not distances.any()
    assert not gradient.any()
