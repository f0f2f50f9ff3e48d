"""The pairs that tuples consist of, with their distances."""

from dataclasses import dataclass

import torch

from dmlbench.distances import listed_distances
from dmlbench.errors import ConfigError
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.tuples import Triplets, Tuples


@dataclass(frozen=True)
class Pairs:
    """Pairs of an anchor and another image; all fields broadcast to one shape.

    Attributes:
        distance: Their distances: 2 x T for triplets, B x B for pair sets.
        positive: Whether the other one is a positive.
        counted: Whether the pair counts at all.
        anchor: T positions of triplets' anchors; None for pair sets, whose rows are the anchors.
    """

    distance: torch.Tensor
    positive: torch.Tensor
    counted: torch.Tensor
    anchor: torch.Tensor | None

    @classmethod
    def of(cls, batch: Batch, tuples: Tuples, squared: bool = False) -> "Pairs":
        """The pairs of ``tuples``: of each triplet the positive and the negative one.

        Args:
            batch: The batch.
            tuples: Triplets, of which a pair may come more than once, or pair sets.
            squared: Take squared distances.
        """
        if isinstance(tuples, Triplets):
            distance = triplet_distances(batch, tuples, squared)
            positive = torch.tensor([[True], [False]], device=batch.labels.device)
            return cls(distance, positive, tuples.valid.expand(2, -1), tuples.anchor)
        distance = batch.distances.square() if squared else batch.distances
        counted = tuples.positives | tuples.negatives
        return cls(distance, tuples.positives, counted, None)

    @property
    def sign(self) -> torch.Tensor:
        """1 for a positive pair, -1 for a negative one."""
        # Arithmetic all through: torch.where over a mask in random order takes 20 times as long.
        return self.positive.to(self.distance.dtype) * 2 - 1

    def of_anchor(self, values: torch.Tensor) -> torch.Tensor:
        """``values`` of B images, for the anchor of each pair."""
        return values[:, None] if self.anchor is None else values.index_select(0, self.anchor)


def triplet_distances(batch: Batch, triplets: Tuples, squared: bool = False) -> torch.Tensor:
    """Distances of each triplet's anchor to its positive, then to its negative: 2 x T.

    Raises:
        ConfigError: Given pair sets, whose triplets are too many to list.
    """
    if not isinstance(triplets, Triplets):
        raise ConfigError("single triplets are needed here: choose one negative per positive")
    anchor, size = triplets.anchor, len(batch.labels)
    others = torch.stack([triplets.positive, triplets.negative])
    if len(anchor) > 4 * size:  # all distances cost less than a list this long
        entries = (anchor * size + others).flatten()
        distance = batch.distances.flatten().index_select(0, entries).view(others.shape)
    else:
        distance = listed_distances(batch.embeddings, anchor, others)
    return distance.square() if squared else distance
