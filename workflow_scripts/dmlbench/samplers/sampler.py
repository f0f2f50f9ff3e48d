"""Triplets of a batch by a positive and a negative choice."""

import torch

from dmlbench.distances import pairwise_distances
from dmlbench.samplers.choice import (
    Batch,
    NegativeChoice,
    PositiveChoice,
    get_negative,
    get_positive,
)
from dmlbench.samplers.triplets import Triplets


class TripletSampler:
    """One triplet for each anchor that has a positive and a negative in the batch."""

    def __init__(self, positive: PositiveChoice, negative: NegativeChoice) -> None:
        """Set the two choices."""
        self.positive = positive
        self.negative = negative

    @classmethod
    def from_spec(cls, spec: dict) -> "TripletSampler":
        """The sampler of a resolved config entry."""
        positive, negative = dict(spec["positive"]), dict(spec["negative"])
        return cls(
            get_positive(positive.pop("type"))(**positive),
            get_negative(negative.pop("type"))(**negative),
        )

    @torch.no_grad()
    def __call__(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        content: torch.Tensor,
        generator: torch.Generator,
    ) -> tuple[Triplets, torch.Tensor]:
        """Choose triplets.

        Args:
            embeddings: B x D, any float type; distances are float32.
            labels: B training labels.
            content: B numbers, equal for copies of one image.
            generator: The random stream.

        Returns:
            The triplets, and for each anchor the number of positives it could have had.
        """
        same_class = labels[:, None] == labels[None, :]
        batch = Batch(
            distances=pairwise_distances(embeddings),
            positives=same_class & (content[:, None] != content[None, :]),
            negatives=~same_class,
            dim=embeddings.shape[1],
            generator=generator,
        )
        positive = self.positive(batch)
        negative = self.negative(batch, positive)
        usable = batch.positives.any(dim=1) & batch.negatives.any(dim=1)
        anchor = usable.nonzero().squeeze(1)
        candidates = batch.positives.sum(dim=1)
        return Triplets(anchor, positive[anchor], negative[anchor]), candidates
