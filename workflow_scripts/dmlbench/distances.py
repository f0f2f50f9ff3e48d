"""Distances and similarities of embeddings: the one place that computes them.

Everything follows the type of its input, but never below float32.
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import FunctionCtx, once_differentiable


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision becomes float32; float32 and float64 stay."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def pairwise_distances(embeddings: torch.Tensor, squared: bool = False) -> torch.Tensor:
    """Euclidean distances of all pairs, plain or squared; differentiable once.

    By inner products, but in float64 and around the mean: in float32 that shortcut loses all digits
    where two embeddings nearly coincide, which is where easy positives lie; the direct difference
    keeps them and takes 3 to 15 times as long. What float32 cannot tell apart (1e-7 of the largest
    distance from the mean) is at distance zero, where the plain distance has gradient zero.

    Args:
        embeddings: B x D.
        squared: Return the square.

    Returns:
        B x B, zero on the diagonal.
    """
    return _PairwiseDistances.apply(at_least_float32(embeddings), squared)


def listed_distances(
    embeddings: torch.Tensor, anchor: torch.Tensor, others: torch.Tensor, squared: bool = False
) -> torch.Tensor:
    """Distances of each of T anchors to K other images.

    The plain distance has gradient zero, not NaN, where two embeddings coincide.

    Args:
        embeddings: B x D.
        anchor: T positions.
        others: K x T positions.
        squared: Return the square.

    Returns:
        K x T distances.
    """
    # index_select, not indexing: its backward adds rows up, several times faster.
    size, dim = embeddings.shape
    if len(anchor) > 4 * size:  # all distances cost less than a list this long
        distances = pairwise_distances(embeddings, squared).flatten()
        return distances.index_select(0, (anchor * size + others).flatten()).view(others.shape)
    left = embeddings.index_select(0, anchor)  # T x D
    right = embeddings.index_select(0, others.flatten()).view(*others.shape, dim)
    square = (left - right).square().sum(dim=2)
    if squared:
        return square
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())


def cosine_similarities(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all rows of ``left`` (B x D) with all of ``right`` (C x D): B x C."""
    points = F.normalize(left, dim=1)
    return points @ (points if left is right else F.normalize(right, dim=1)).T


class _PairwiseDistances(torch.autograd.Function):
    """Distances with the gradient written out: a third of the work of following each operation."""

    @staticmethod
    def forward(ctx: FunctionCtx, points: torch.Tensor, squared: bool) -> torch.Tensor:
        wide = points.double()
        wide = wide - wide.mean(dim=0)
        length = wide.square().sum(dim=1)  # B
        square = torch.addmm(length[:, None] + length, wide, wide.T, alpha=-2)
        # Only products and sums need float64: from here on nothing cancels.
        distance = square.masked_fill_(square < 1e-14 * length.amax(), 0.0).to(points.dtype)
        distance.fill_diagonal_(0.0)
        if not squared:
            distance.sqrt_()
        ctx.squared = squared
        ctx.save_for_backward(wide, distance)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        wide, distance = ctx.saved_tensors
        weights = gradient + gradient.T  # d_ij and d_ji both move with x_i
        # The gradient of |x_i - x_j|^2 is 2 (x_i - x_j), that of |x_i - x_j| a unit vector.
        weights = weights.mul_(2) if ctx.squared else weights.div_(distance)
        weights = weights.masked_fill_(distance == 0, 0.0).double()
        moved = weights.sum(dim=1, keepdim=True) * wide - weights @ wide
        return moved.to(gradient.dtype), None
