"""Distances and similarities of embeddings, float32 at least whatever the network computes in."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F

#: More than the rounding error of a product of two unit vectors in float64.
_ROUNDING = 1e-14


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision becomes float32; float32 and float64 stay."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def full_precision(device: torch.device) -> AbstractContextManager:
    """A context without autocast."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()  # the usual case, and cheaper


def pairwise_distances(embeddings: torch.Tensor) -> torch.Tensor:
    """Euclidean distances of all pairs.

    Computed from inner products in float64. In float32 these lose all digits where two embeddings
    nearly coincide, which is where easy positives lie. Squared distances are lowered by 1e-14 of
    both squared norms, so that rounding does not separate equal embeddings: they are at distance
    zero, with gradient zero. float32 cannot tell embeddings apart below 1e-7 of their norm, so
    nothing else becomes zero. A distance d of unit vectors is exact to 5e-15 / d^2 of itself.

    Args:
        embeddings: B x D.

    Returns:
        B x B, zero on the diagonal; in the type of the input, float32 at least.
    """
    points = at_least_float32(embeddings)
    wide = points.double()
    length = wide.square().sum(dim=1) * (1 - _ROUNDING)
    square = (length[:, None] + length - 2 * (wide @ wide.T)).to(points.dtype)
    # The gradient of a root at zero is infinite; written like this, NaN stays NaN.
    equal = square <= 0
    return square.masked_fill(equal, 1).sqrt().masked_fill(equal, 0)


def pairwise_similarities(embeddings: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all pairs of B x D embeddings: B x B."""
    points = at_least_float32(embeddings)
    return cosine_similarities(points, points)


def cosine_similarities(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all rows of ``left`` (B x D) with all of ``right`` (C x D): B x C."""
    return F.normalize(left, dim=1) @ F.normalize(right, dim=1).T
