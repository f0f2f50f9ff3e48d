"""Margin loss with a learned boundary."""

import torch
from torch import nn

from dmlbench.losses.base import TupleLoss, register_loss
from dmlbench.plugins.types import PositiveFloat
from dmlbench.samplers.batch import Batch, Pairs, Tuples


@register_loss("margin", takes="tuples", label="Margin")
class Margin(TupleLoss):
    """Margin loss: (D_ap - beta_a + margin)_+ and (beta_a - D_an + margin)_+.

    Wu et al. 2017, equations 4 and 5, with one learned beta for the anchor's class; D is the
    plain distance, as in their code (EPS, section 3, writes the square). The sum is divided by the
    number of active terms, positive and negative together.
    """

    def __init__(
        self,
        *,
        margin: PositiveFloat = 0.2,
        beta: PositiveFloat = 1.2,
        beta_lr: PositiveFloat = 5.0e-4,
        **sizes: int,
    ) -> None:
        """``beta`` is where every class's boundary starts, ``beta_lr`` its own learning rate."""
        super().__init__(**sizes)
        self.margin = margin
        self.own_lr = beta_lr
        self.beta = nn.Parameter(torch.full((self.num_classes,), float(beta)))

    def terms(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor]:
        """One term for each pair."""
        pairs = Pairs.of(batch, tuples)
        beta = self.beta.index_select(0, pairs.labels.flatten()).view(pairs.labels.shape)
        return ((pairs.distance - beta) * pairs.sign + self.margin).relu(), pairs.counted

    def divisor(self, batch: Batch, count: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        return active
