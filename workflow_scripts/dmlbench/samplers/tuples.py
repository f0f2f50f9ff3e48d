"""Tuples of a batch: what samplers make and losses take.

Shapes do not depend on the data where that can be had, so that a GPU need not be waited for.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Triplets:
    """Anchor, positive and negative, listed.

    Attributes:
        anchor, positive, negative: T positions in the batch each; row t is one triplet.
        valid: T booleans; a row that is False has no meaning and counts nowhere.
    """

    anchor: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    valid: torch.Tensor

    def pair_sets(self, size: int) -> "PairSets":
        """The pairs that the triplets are made of, each once, in a batch of ``size``."""
        return PairSets(self._mask(self.positive, size), self._mask(self.negative, size))

    def indices(self) -> tuple[torch.Tensor, ...]:
        """Anchors, positives, negatives of the valid triplets: pytorch-metric-learning's form."""
        return tuple(rows[self.valid] for rows in (self.anchor, self.positive, self.negative))

    def _mask(self, other: torch.Tensor, size: int) -> torch.Tensor:
        counts = torch.zeros(size * size, dtype=torch.long, device=other.device)
        counts.scatter_add_(0, self.anchor * size + other, self.valid.long())
        return counts.view(size, size) > 0


@dataclass(frozen=True)
class PairSets:
    """For each anchor a set of positives and a set of negatives.

    Attributes:
        positives: B x B mask; row a marks the positives of anchor a.
        negatives: B x B mask.
    """

    positives: torch.Tensor
    negatives: torch.Tensor

    def pair_sets(self, size: int) -> "PairSets":
        """Itself; see :meth:`Triplets.pair_sets`."""
        return self

    def indices(self) -> tuple[torch.Tensor, ...]:
        """Anchors and positives, anchors and negatives: pytorch-metric-learning's form of pairs."""
        return (*self.positives.nonzero(as_tuple=True), *self.negatives.nonzero(as_tuple=True))


Tuples = Triplets | PairSets
