"""Triplet loss."""

import torch

from dmlbench.config.types import PositiveFloat
from dmlbench.distances import paired_distances
from dmlbench.losses.base import TripletLoss, register_loss
from dmlbench.samplers.triplets import Triplets


@register_loss("triplet")
class Triplet(TripletLoss):
    """Triplet loss: (D_ap - D_an + margin)_+.

    Schroff et al. 2015, equation 2; EPS, section 3 (which prints D_pn, a misprint). D is the
    squared distance there and in Roth et al. 2020; ``squared: false`` takes the plain one.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        margin: PositiveFloat = 0.2,
        squared: bool = True,
    ) -> None:
        """``margin`` is how much farther (squared like D) the negative must be."""
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.margin = margin
        self.squared = squared

    def terms(
        self, embeddings: torch.Tensor, labels: torch.Tensor, triplets: Triplets
    ) -> torch.Tensor:
        """T terms, one for each triplet."""
        anchor = embeddings[triplets.anchor]  # T x D
        near = paired_distances(anchor, embeddings[triplets.positive], self.squared)
        far = paired_distances(anchor, embeddings[triplets.negative], self.squared)
        return (near - far + self.margin).relu()
