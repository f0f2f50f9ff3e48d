"""Tuples of a batch: what samplers make and losses take; and the pairs that they consist of.

Shapes do not depend on the data where that is possible, so that a GPU need not be waited for.
"""

from dataclasses import dataclass

import torch

from dmlbench.errors import ConfigError
from dmlbench.samplers.batch import Batch


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
    """For each anchor a set of positives and one of negatives: B x B masks, a row per anchor."""

    positives: torch.Tensor
    negatives: torch.Tensor

    def pair_sets(self, size: int) -> "PairSets":
        return self

    def indices(self) -> tuple[torch.Tensor, ...]:
        """Anchors and positives, anchors and negatives: pytorch-metric-learning's form of pairs."""
        return (*self.positives.nonzero(as_tuple=True), *self.negatives.nonzero(as_tuple=True))


Tuples = Triplets | PairSets


@dataclass(frozen=True)
class Pairs:
    """Pairs of an anchor and another image; all fields broadcast to one shape.

    Attributes:
        distance: Their distances: 2 x T for triplets, B x B for pair sets.
        sign: 1 for a positive pair, -1 for a negative one.
        counted: Whether the pair counts at all.
        labels: Classes of the anchors: T for triplets, B x 1 for pair sets, whose rows they are.
    """

    distance: torch.Tensor
    sign: torch.Tensor
    counted: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, batch: Batch, tuples: Tuples, squared: bool = False) -> "Pairs":
        """The pairs of pair sets; of each triplet the positive and the negative one.

        ``squared`` takes squared distances. A pair may be in several triplets.
        """
        if isinstance(tuples, Triplets):
            distance = triplet_distances(batch, tuples, squared)
            sign = torch.arange(1, -2, -2, dtype=distance.dtype, device=distance.device)[:, None]
            labels = batch.labels.index_select(0, tuples.anchor)
            return cls(distance, sign, tuples.valid.expand(2, -1), labels)
        distance = batch.distances.square() if squared else batch.distances
        # Arithmetic, not torch.where: over a mask in random order that takes 20 times as long.
        sign = tuples.positives.to(distance.dtype) * 2 - 1
        return cls(distance, sign, tuples.positives | tuples.negatives, batch.labels[:, None])

    def of_class(self, values: torch.Tensor) -> torch.Tensor:
        """``values`` of all classes, for the class of each pair's anchor."""
        return values.index_select(0, self.labels.flatten()).view(self.labels.shape)


def triplet_distances(batch: Batch, triplets: Tuples, squared: bool = False) -> torch.Tensor:
    """Distances of each triplet's anchor to its positive, then to its negative: 2 x T.

    Pair sets are a ConfigError: their triplets are too many to list.
    """
    if not isinstance(triplets, Triplets):
        raise ConfigError("single triplets are needed here: choose one negative per positive")
    entries = torch.stack([triplets.positive, triplets.negative])
    entries.add_(triplets.anchor, alpha=len(batch.labels))
    # index_select, not indexing: its backward adds up several times faster.
    distance = batch.distances.flatten().index_select(0, entries.flatten()).view(entries.shape)
    return distance.square() if squared else distance
