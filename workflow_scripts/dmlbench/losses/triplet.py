"""Triplet loss."""

import torch

from dmlbench.losses.base import TupleLoss, register_loss
from dmlbench.plugins.types import PositiveFloat
from dmlbench.samplers.batch import Batch, PairSets, Tuples, triplet_distances


@register_loss("triplet", takes="tuples", label="Triplet", terms_need_triplets=True)
class Triplet(TupleLoss):
    """Triplet loss: (D_ap - D_an + margin)_+.

    Schroff et al. 2015, equation 2; EPS, section 3 (which prints D_pn, a misprint). D is the
    squared distance there and in Roth et al. 2020; ``squared: false`` takes the plain one. The mean
    is over all triplets; pytorch-metric-learning's default is over those that are not zero.
    """

    def __init__(self, *, margin: PositiveFloat = 0.2, squared: bool = True, **sizes: int) -> None:
        """``margin`` is how much farther (squared like D) the negative must be."""
        super().__init__(**sizes)
        self.margin = margin
        self.squared = squared

    def terms(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor]:
        """T terms, one for each triplet; pair sets are a ConfigError (:meth:`sums` takes them)."""
        near, far = triplet_distances(batch, tuples, self.squared)
        return (near - far + self.margin).relu(), tuples.valid

    def sums(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See the base; pair sets stand for every positive with every negative of an anchor.

        These triplets are not listed: memory grows with B^2, not B^3. The sum of the active terms
        is the sum over pairs of (D_ap + margin) and -D_an, each as often as it is in an active
        triplet. Sorted distances give how often; the counts are constant where there is a gradient.
        """
        if not isinstance(tuples, PairSets):
            return super().sums(batch, tuples)
        sets, distance = tuples, batch.distances.double()
        distance = distance.square() if self.squared else distance
        edge = (distance + self.margin).detach()  # a positive is active with negatives below it
        fixed = distance.detach()
        near = edge.masked_fill(~sets.positives, -torch.inf).sort(dim=1).values
        far = fixed.masked_fill(~sets.negatives, torch.inf).sort(dim=1).values
        of_positive = torch.searchsorted(far, edge) * sets.positives
        size = fixed.shape[1]
        of_negative = (size - torch.searchsorted(near, fixed, right=True)) * sets.negatives
        total = ((distance + self.margin) * of_positive - distance * of_negative).sum()
        count = (sets.positives.sum(dim=1) * sets.negatives.sum(dim=1)).sum()
        return total.to(batch.embeddings.dtype), count, of_positive.sum()
