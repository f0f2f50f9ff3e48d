"""Distances and similarities of embeddings: the one place that computes them.

Everything follows the type of its input, but never below float32.
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import FunctionCtx, once_differentiable


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision becomes float32; float32 and float64 stay."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def pairwise_distances(embeddings: torch.Tensor) -> torch.Tensor:
    """Euclidean distances of all pairs; differentiable once.

    By inner products, but in float64 and around the mean: in float32 that shortcut loses all digits
    where two embeddings nearly coincide, which is where easy positives lie; the direct difference
    keeps them and takes 3 to 15 times as long. What float32 cannot tell apart (1e-7 of the largest
    distance from the mean) is at distance zero, with gradient zero.

    Args:
        embeddings: B x D.

    Returns:
        B x B, zero on the diagonal.
    """
    return _PairwiseDistances.apply(at_least_float32(embeddings))


def pairwise_similarities(embeddings: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all pairs of B x D embeddings, B x B; differentiable once."""
    return _PairwiseSimilarities.apply(at_least_float32(embeddings))


def listed_distances(
    embeddings: torch.Tensor, anchor: torch.Tensor, others: torch.Tensor
) -> torch.Tensor:
    """Distances of each of T anchors to K other images, by direct difference.

    Two embeddings that coincide have gradient zero, not NaN.

    Args:
        embeddings: B x D.
        anchor: T positions.
        others: K x T positions.

    Returns:
        K x T distances.
    """
    # index_select, not indexing: its backward adds rows up, several times faster.
    left = embeddings.index_select(0, anchor)  # T x D
    right = embeddings.index_select(0, others.flatten()).view(*others.shape, embeddings.shape[1])
    square = (left - right).square().sum(dim=2)
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())


def cosine_similarities(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all rows of ``left`` (B x D) with all of ``right`` (C x D): B x C."""
    return F.normalize(left, dim=1) @ F.normalize(right, dim=1).T


class _PairwiseDistances(torch.autograd.Function):
    """Distances with the gradient written out: a third of the work of following each operation."""

    @staticmethod
    def forward(ctx: FunctionCtx, points: torch.Tensor) -> torch.Tensor:
        wide = points.double()
        wide = wide - wide.mean(dim=0)
        length = wide.square().sum(dim=1)  # B
        square = torch.addmm(length[:, None] + length, wide, wide.T, alpha=-2)
        # Only products and sums need float64: from here on nothing cancels.
        distance = square.masked_fill_(square < 1e-14 * length.amax(), 0.0).to(points.dtype)
        distance.fill_diagonal_(0.0).sqrt_()
        ctx.save_for_backward(wide, distance)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        wide, distance = ctx.saved_tensors
        # d_ij and d_ji both move with x_i, along a unit vector, or not at all where they are zero.
        weights = (gradient + gradient.T).div_(distance).masked_fill_(distance == 0, 0.0).double()
        moved = weights.sum(dim=1, keepdim=True) * wide - weights @ wide
        return moved.to(gradient.dtype)


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
