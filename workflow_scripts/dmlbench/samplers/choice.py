"""The registries of positive and negative choices, and what a choice is given."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from dmlbench.registry import Registry

_POSITIVES = Registry("positive choice", "dmlbench.samplers")
_NEGATIVES = Registry("negative choice", "dmlbench.samplers")
register_positive = _POSITIVES.register
register_negative = _NEGATIVES.register
get_positive = _POSITIVES.get
get_negative = _NEGATIVES.get


@dataclass(frozen=True)
class Batch:
    """What choices may look at.

    Attributes:
        distances: B x B plain Euclidean distances, float32.
        positives: B x B mask: same class, another image (neither the anchor itself nor a copy).
        negatives: B x B mask: another class.
        dim: Dimension of the embedding.
        generator: The random stream of the choices.
    """

    distances: torch.Tensor
    positives: torch.Tensor
    negatives: torch.Tensor
    dim: int
    generator: torch.Generator


class PositiveChoice(ABC):
    """Chooses one positive for each anchor."""

    @abstractmethod
    def __call__(self, batch: Batch) -> torch.Tensor:
        """B positions; anything for an anchor that has no positive (it is dropped later)."""


class NegativeChoice(ABC):
    """Chooses one negative for each anchor, knowing its positive."""

    @abstractmethod
    def __call__(self, batch: Batch, positive: torch.Tensor) -> torch.Tensor:
        """B positions; anything for an anchor that has no negative (it is dropped later)."""


def draw(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One column per row, drawn in proportion to ``weights``; any where a row has no weight.

    Args:
        weights: B x B, not negative.
        generator: The random stream.
    """
    empty = weights.sum(dim=1, keepdim=True) == 0
    return torch.multinomial(
        torch.where(empty, 1.0, weights), num_samples=1, generator=generator
    ).squeeze(1)
