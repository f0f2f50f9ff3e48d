"""Margin loss with a learned boundary."""

import torch
from torch import nn

from dmlbench.config.types import PositiveFloat
from dmlbench.distances import paired_distances
from dmlbench.losses.base import TripletLoss, register_loss
from dmlbench.samplers.triplets import Triplets


@register_loss("margin")
class Margin(TripletLoss):
    """Margin loss: (D_ap - beta_a + margin)_+ and (beta_a - D_an + margin)_+.

    Wu et al. 2017, equations 4 and 5, with one learned beta for the anchor's class; D is the
    plain distance, as in their code. The sum is divided by the number of active terms.
    """

    reduction = "active"

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        margin: PositiveFloat = 0.2,
        beta: PositiveFloat = 1.2,
        beta_lr: PositiveFloat = 5.0e-4,
    ) -> None:
        """``beta`` is where every class's boundary starts, ``beta_lr`` its own learning rate."""
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.margin = margin
        self.beta_lr = beta_lr
        self.beta = nn.Parameter(torch.full((num_classes,), float(beta)))

    def terms(
        self, embeddings: torch.Tensor, labels: torch.Tensor, triplets: Triplets
    ) -> torch.Tensor:
        """2T terms: the positive pairs, then the negative ones."""
        anchor = embeddings[triplets.anchor]  # T x D
        near = paired_distances(anchor, embeddings[triplets.positive], squared=False)
        far = paired_distances(anchor, embeddings[triplets.negative], squared=False)
        beta = self.beta[labels[triplets.anchor]]  # T
        return torch.cat([(near - beta + self.margin).relu(), (beta - far + self.margin).relu()])

    def parameter_groups(self) -> list[dict]:
        """Beta moves at its own rate and is not decayed towards zero."""
        return [{"params": [self.beta], "lr": self.beta_lr, "weight_decay": 0.0}]
