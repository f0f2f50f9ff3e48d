"""Distances between embeddings: the one place that computes them for losses and samplers."""

import torch


def pairwise_distances(embeddings: torch.Tensor) -> torch.Tensor:
    """Plain Euclidean distances of all pairs.

    Computed by direct difference in float32: the shortcut through inner products loses all
    digits where two embeddings nearly coincide, which is where easy positives lie.

    Args:
        embeddings: B x D.

    Returns:
        B x B, zero on the diagonal.
    """
    points = embeddings.float()
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def paired_distances(left: torch.Tensor, right: torch.Tensor, squared: bool) -> torch.Tensor:
    """Distances of corresponding rows, squared or plain.

    The plain distance has gradient zero, not NaN, where two rows coincide.

    Args:
        left: T x D.
        right: T x D.
        squared: Return the square.

    Returns:
        T distances.
    """
    square = (left - right).square().sum(dim=1)  # T
    if squared:
        return square
    same = square == 0
    return torch.where(same, 0.0, torch.where(same, 1.0, square).sqrt())
