"""A batch, and the distances and similarities of its embeddings.

Both are float32 at least, whatever the network computes in.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

#: More than the rounding error of a product of two unit vectors in float64.
_ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch, and what follows from it; everything is computed once, when first asked for.

    Distances and similarities keep their gradient: sampler, loss and diagnostics share them, and
    samplers, which run without gradients, need not care.

    Attributes:
        embeddings: B x D, float32 or float64.
        labels: B class numbers in 0 .. number of classes - 1.
        content: B numbers, equal for copies of one image.
        generator: The random stream of the choices; None where nothing is drawn.
    """

    embeddings: torch.Tensor
    labels: torch.Tensor
    content: torch.Tensor
    generator: torch.Generator | None

    @classmethod
    def of(
        cls,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        content: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> "Batch":
        """A batch of embeddings of any float type; without ``content``, no image is a copy."""
        if content is None:
            content = torch.arange(len(labels), device=labels.device)
        wide = torch.promote_types(embeddings.dtype, torch.float32)
        return cls(embeddings.to(wide), labels, content, generator)

    @cached_property
    def distances(self) -> torch.Tensor:
        """B x B plain Euclidean distances; see :func:`pairwise_distances`."""
        with torch.enable_grad(), torch.autocast(self.embeddings.device.type, enabled=False):
            return pairwise_distances(self.embeddings)

    @cached_property
    def similarities(self) -> torch.Tensor:
        """B x B cosine similarities."""
        with torch.enable_grad(), torch.autocast(self.embeddings.device.type, enabled=False):
            return cosine_similarities(self.embeddings, self.embeddings)

    @cached_property
    def same_class(self) -> torch.Tensor:
        """B x B mask: same class, the anchor itself and its copies too."""
        return self.labels[:, None] == self.labels[None, :]

    @cached_property
    def positives(self) -> torch.Tensor:
        """B x B mask: same class, another image (neither the anchor itself nor a copy)."""
        return self.same_class & (self.content[:, None] != self.content[None, :])

    @cached_property
    def negatives(self) -> torch.Tensor:
        """B x B mask: another class."""
        return ~self.same_class

    @cached_property
    def positions(self) -> torch.Tensor:
        """0 .. B - 1."""
        return torch.arange(len(self.labels), device=self.labels.device)


def pairwise_distances(embeddings: torch.Tensor) -> torch.Tensor:
    """Euclidean distances of all pairs of B x D embeddings: B x B, zero on the diagonal.

    Computed from inner products in float64. In float32 these lose all digits where two embeddings
    nearly coincide, which is where easy positives lie. Squared distances are lowered by 1e-14 of
    both squared norms, so that rounding does not separate equal embeddings: they are at distance
    zero, with gradient zero. float32 cannot tell embeddings apart below 1e-7 of their norm, so
    nothing else becomes zero. A distance d of unit vectors is exact to 5e-15 / d^2 of itself.
    """
    wide = embeddings.double()
    length = wide.square().sum(dim=1) * (1 - _ROUNDING)
    square = (length[:, None] + length - 2 * (wide @ wide.T)).to(embeddings.dtype)
    # The gradient of a root at zero is infinite; written like this, NaN stays NaN.
    equal = square <= 0
    return square.masked_fill(equal, 1).sqrt().masked_fill(equal, 0)


def cosine_similarities(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all rows of ``left`` (B x D) with all of ``right`` (C x D): B x C."""
    return F.normalize(left, dim=1) @ F.normalize(right, dim=1).T
