"""Trimmed loss: leave out the highest terms of any loss on tuples."""

from typing import Any

import torch

from dmlbench.errors import ConfigError
from dmlbench.losses.base import TupleLoss, register_loss
from dmlbench.losses.building import build_loss
from dmlbench.plugins.types import LossSpec, Share
from dmlbench.samplers.batch import Batch, Triplets, Tuples


@register_loss("trimmed", takes="tuples", inside="terms", label="Trimmed")
class Trimmed(TupleLoss):
    """Trimmed loss: only the tuples that cost least count in a batch.

    Shen and Sanghavi 2019, as EPS (section 5.2.5) applies it: of n triplets the ceil((1 - trim) n)
    of lowest loss are kept; where a sampler gives sets, of n pairs or anchors. The inner loss
    divides their sum; most take the mean over what is kept. EPS is trimming of the positives only.
    """

    def __init__(self, *, loss: LossSpec, trim: Share = 0.1, **sizes: int) -> None:
        """``loss`` is described like any entry of ``losses``; ``trim`` is the share left out."""
        super().__init__(**sizes)
        inner = build_loss(loss, **sizes)
        if not isinstance(inner, TupleLoss):
            raise ConfigError(
                f"trimmed: {loss['type']} is no loss on tuples: it has no terms to trim"
            )
        self.inner = inner
        self.trim = trim

    def terms(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor]:
        """The inner loss's terms; those of the lowest tuples count, of equal ones the first."""
        values, counted = self.inner.terms(batch, tuples)
        costs, valid = values.detach(), counted
        if isinstance(tuples, Triplets) and values.dim() == 2:
            # Two rows, pair by pair: the pairs of one triplet stand or fall together.
            costs, valid = costs.sum(dim=0), tuples.valid
        order = costs.masked_fill(~valid, torch.inf).flatten().argsort(stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        # A share such as 0.1 is no exact float: 0.9 * 10 must give 9, not 10.
        kept = torch.ceil((1 - self.trim) * valid.sum().double() - 1e-9)
        return values, counted & (rank < kept).view(costs.shape)

    def divisor(self, batch: Batch, count: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        return self.inner.divisor(batch, count, active)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return self.inner.parameter_groups()
