"""Distances and similarities of embeddings: the one place that computes them.

Everything follows the type of its input, but never below float32.
"""

import torch
import torch.nn.functional as F


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision becomes float32; float32 and float64 stay."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def pairwise_distances(embeddings: torch.Tensor, squared: bool = False) -> torch.Tensor:
    """Euclidean distances of all pairs, plain or squared; differentiable.

    By inner products, but in float64 and around the mean: in float32 that shortcut loses all digits
    where two embeddings nearly coincide, which is where easy positives lie; the direct difference
    keeps them and takes 3 to 15 times as long. What float32 embeddings cannot tell apart (1e-7 of
    their length) is at distance zero. The plain distance has gradient zero, not NaN, there.

    Args:
        embeddings: B x D.
        squared: Return the square.

    Returns:
        B x B, zero on the diagonal.
    """
    points = at_least_float32(embeddings)
    wide = points.double()
    wide = wide - wide.mean(dim=0)
    length = wide.square().sum(dim=1)  # B
    scale = length[:, None] + length[None, :]
    square = scale - 2 * wide @ wide.T
    itself = torch.eye(len(points), dtype=torch.bool, device=points.device)
    square = torch.where(itself | (square < 1e-14 * scale), 0.0, square)
    return (square if squared else safe_sqrt(square)).to(points.dtype)


def paired_distances(
    embeddings: torch.Tensor, left: torch.Tensor, right: torch.Tensor, squared: bool
) -> torch.Tensor:
    """Distances of listed pairs, by direct difference.

    The plain distance has gradient zero, not NaN, where two embeddings coincide.

    Args:
        embeddings: B x D.
        left: T positions.
        right: T positions.
        squared: Return the square.

    Returns:
        T distances.
    """
    # index_select, not indexing: its backward adds rows up, several times faster.
    difference = embeddings.index_select(0, left) - embeddings.index_select(0, right)  # T x D
    square = difference.square().sum(dim=1)
    return square if squared else safe_sqrt(square)


def cosine_similarities(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all rows of ``left`` (B x D) with all of ``right`` (C x D): B x C."""
    return F.normalize(left, dim=1) @ F.normalize(right, dim=1).T


def safe_sqrt(square: torch.Tensor) -> torch.Tensor:
    """The square root, with gradient zero at zero instead of infinity."""
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())
