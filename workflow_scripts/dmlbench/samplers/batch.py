"""What samplers may look at."""

from dataclasses import dataclass
from functools import cached_property

import torch

from dmlbench.distances import at_least_float32, cosine_similarities, pairwise_distances


@dataclass(frozen=True)
class Batch:
    """One batch, and what follows from it; everything is computed when first asked for.

    Attributes:
        embeddings: B x D, without gradient, float32 or float64.
        labels: B class numbers.
        content: B numbers, equal for copies of one image.
        generator: The random stream of the choices.
    """

    embeddings: torch.Tensor
    labels: torch.Tensor
    content: torch.Tensor
    generator: torch.Generator

    @classmethod
    def of(
        cls,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        content: torch.Tensor,
        generator: torch.Generator,
    ) -> "Batch":
        """A batch of embeddings of any float type."""
        return cls(at_least_float32(embeddings.detach()), labels, content, generator)

    @cached_property
    def distances(self) -> torch.Tensor:
        """B x B plain Euclidean distances."""
        return pairwise_distances(self.embeddings)

    @cached_property
    def similarities(self) -> torch.Tensor:
        """B x B cosine similarities."""
        return cosine_similarities(self.embeddings, self.embeddings)

    @cached_property
    def positives(self) -> torch.Tensor:
        """B x B mask: same class, another image (neither the anchor itself nor a copy)."""
        return self._same_class & (self.content[:, None] != self.content[None, :])

    @cached_property
    def negatives(self) -> torch.Tensor:
        """B x B mask: another class."""
        return ~self._same_class

    @cached_property
    def positions(self) -> torch.Tensor:
        """0 .. B - 1."""
        return torch.arange(len(self.labels), device=self.labels.device)

    @cached_property
    def _same_class(self) -> torch.Tensor:
        return self.labels[:, None] == self.labels[None, :]
