"""Contrastive loss."""

import torch

from dmlbench.config.types import PositiveFloat
from dmlbench.distances import paired_distances
from dmlbench.losses.base import TripletLoss, register_loss
from dmlbench.samplers.triplets import Triplets


@register_loss("contrastive")
class Contrastive(TripletLoss):
    """Contrastive loss: D_ap for a positive pair, (margin - D_an)_+ for a negative pair.

    Hadsell et al. 2006 in the form of EPS, section 3; D is the squared distance there. A triplet
    gives one positive and one negative pair, and the mean is over all pairs.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        margin: PositiveFloat = 1.0,
        squared: bool = True,
    ) -> None:
        """``margin`` is the distance (squared like D) at which negatives stop counting."""
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.margin = margin
        self.squared = squared

    def terms(
        self, embeddings: torch.Tensor, labels: torch.Tensor, triplets: Triplets
    ) -> torch.Tensor:
        """2T terms: the positive pairs, then the negative ones."""
        anchor = embeddings[triplets.anchor]  # T x D
        near = paired_distances(anchor, embeddings[triplets.positive], self.squared)
        far = paired_distances(anchor, embeddings[triplets.negative], self.squared)
        return torch.cat([near, (self.margin - far).relu()])
