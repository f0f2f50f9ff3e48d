"""What samplers may look at."""

from dataclasses import dataclass
from functools import cached_property

import torch

from dmlbench.tensors.distances import (
    at_least_float32,
    full_precision,
    pairwise_distances,
    pairwise_similarities,
)


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
        return cls(at_least_float32(embeddings), labels, content, generator)

    @cached_property
    def distances(self) -> torch.Tensor:
        """B x B plain Euclidean distances, computed in full precision whatever autocast says."""
        with torch.enable_grad(), full_precision(self.embeddings.device):
            return pairwise_distances(self.embeddings)

    @cached_property
    def similarities(self) -> torch.Tensor:
        """B x B cosine similarities, computed in full precision whatever autocast says."""
        with torch.enable_grad(), full_precision(self.embeddings.device):
            return pairwise_similarities(self.embeddings)

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
