"""Distances and similarities of embeddings: the one place that computes them.

Everything follows the type of its input, but never below float32.
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import FunctionCtx, once_differentiable

from dmlbench.tensors.precision import at_least_float32

#: More than the rounding error of a product of two unit vectors in float64.
_NOISE = 1e-14
#: Beside the square of any distance that is not zero this is nothing, and no denormal number.
_TINY = 1e-37


def pairwise_distances(embeddings: torch.Tensor) -> torch.Tensor:
    """Euclidean distances of all pairs; differentiable once.

    By inner products, but in float64: in float32 that shortcut loses all digits where two
    embeddings nearly coincide, which is where easy positives lie; the direct difference keeps them
    and takes 3 to 15 times as long. Squares are lowered by 1e-14 of both squared norms: what
    float32 cannot tell apart (1e-7 of a norm) is at distance zero, with gradient zero. Beside that
    a distance d of unit vectors is exact to 5e-15 / d^2 of itself, and a gradient, computed in the
    input's own type, to its rounding divided by d: half a percent at 1e-5 in float32.

    Args:
        embeddings: B x D.

    Returns:
        B x B, zero on the diagonal.
    """
    return _PairwiseDistances.apply(at_least_float32(embeddings))


def pairwise_similarities(embeddings: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all pairs of B x D embeddings, B x B; differentiable once."""
    return _PairwiseSimilarities.apply(at_least_float32(embeddings))


def cosine_similarities(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all rows of ``left`` (B x D) with all of ``right`` (C x D): B x C."""
    return F.normalize(left, dim=1) @ F.normalize(right, dim=1).T


class _PairwiseDistances(torch.autograd.Function):
    """Distances with the gradient written out: a third of the work of following each operation."""

    @staticmethod
    def forward(ctx: FunctionCtx, points: torch.Tensor) -> torch.Tensor:
        wide = points.double()
        length = torch.linalg.vector_norm(wide, dim=1).square()  # B
        length *= 1 - _NOISE
        # Only products and sums need float64: from here on nothing cancels.
        square = (length[:, None] + length).addmm_(wide, wide.T, alpha=-2).to(points.dtype)
        distance = square.relu_().sqrt_()
        ctx.save_for_backward(points, distance)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        points, distance = ctx.saved_tensors
        # d_ij and d_ji both move with x_i, along a unit vector; the smallest number that float32
        # holds well makes that zero, not NaN, where they are zero.
        inverse = distance / (distance * distance).add_(_TINY)
        weights = (gradient + gradient.T).mul_(inverse).neg_()  # zero on the diagonal
        weights.diagonal().sub_(weights.sum(dim=1))
        # The type of the input is enough: these sums err as if the input had been rounded to it.
        return weights @ points


class _PairwiseSimilarities(torch.autograd.Function):
    """Cosine similarities with the gradient written out: one product backward instead of two."""

    @staticmethod
    def forward(ctx: FunctionCtx, points: torch.Tensor) -> torch.Tensor:
        length = points.norm(dim=1, keepdim=True).clamp_min(1e-12)
        unit = points / length
        ctx.save_for_backward(unit, length)
        return unit @ unit.T

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        unit, length = ctx.saved_tensors
        moved = (gradient + gradient.T) @ unit
        return (moved - unit * (moved * unit).sum(dim=1, keepdim=True)) / length
