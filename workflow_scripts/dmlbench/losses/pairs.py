"""The pairs that tuples consist of, with their distances."""

from dataclasses import dataclass

import torch

from dmlbench.distances import paired_distances, pairwise_distances
from dmlbench.samplers.tuples import Triplets, Tuples


@dataclass(frozen=True)
class Pairs:
    """Pairs of an anchor and another image; all fields broadcast to one shape.

    Attributes:
        distance: Their distances: 2 x T for triplets, B x B for pair sets.
        positive: Whether the other one is a positive.
        counted: Whether the pair counts at all.
        anchor: The anchors' positions.
    """

    distance: torch.Tensor
    positive: torch.Tensor
    counted: torch.Tensor
    anchor: torch.Tensor

    @classmethod
    def of(cls, embeddings: torch.Tensor, tuples: Tuples, squared: bool) -> "Pairs":
        """The pairs of ``tuples``: of each triplet the positive and the negative one.

        Args:
            embeddings: B x D.
            tuples: Triplets, of which a pair may come more than once, or pair sets.
            squared: Take squared distances.
        """
        device = embeddings.device
        if isinstance(tuples, Triplets):
            near = paired_distances(embeddings, tuples.anchor, tuples.positive, squared)
            far = paired_distances(embeddings, tuples.anchor, tuples.negative, squared)
            positive = torch.tensor([[True], [False]], device=device)
            counted = tuples.valid.expand(2, -1)
            return cls(torch.stack([near, far]), positive, counted, tuples.anchor)
        distance = pairwise_distances(embeddings, squared)
        counted = tuples.positives | tuples.negatives
        anchor = torch.arange(len(embeddings), device=device)[:, None]
        return cls(distance, tuples.positives, counted, anchor)
