"""Contrastive loss."""

from typing import Literal

import torch

from dmlbench.losses.base import TupleLoss, register_loss
from dmlbench.plugins.types import PositiveFloat
from dmlbench.samplers.batch import Batch, Pairs, Tuples


@register_loss("contrastive", takes="tuples", label="Contrastive")
class Contrastive(TupleLoss):
    """Contrastive loss: D_ap for a positive pair, (margin - D_an)_+ for a negative pair.

    Hadsell et al. 2006 in the form of EPS, section 3; D is the squared distance there. The mean is
    over all pairs, as in EPS, section 4.1; pytorch-metric-learning averages the active positive and
    the active negative pairs apart and adds the two. With ``mean_over: anchors`` the sum is divided
    by the images of the batch, as in XBM (Wang et al. 2020, equation 3): beside thousands of
    remembered negatives that are far, a mean over pairs would vanish.
    """

    def __init__(
        self,
        *,
        margin: PositiveFloat = 1.0,
        squared: bool = True,
        mean_over: Literal["pairs", "anchors"] = "pairs",
        **sizes: int,
    ) -> None:
        """``margin`` is the distance (squared like D) at which negatives stop counting."""
        super().__init__(**sizes)
        self.margin = margin
        self.squared = squared
        self.mean_over = mean_over

    def terms(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor]:
        """One term for each pair."""
        pairs = Pairs.of(batch, tuples, self.squared)
        bound = (1 - pairs.sign) * (self.margin / 2)  # the margin for negatives, 0 for positives
        return ((pairs.distance - bound) * pairs.sign).relu(), pairs.counted

    def divisor(self, batch: Batch, count: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """The number of pairs, or of images in the batch."""
        return count if self.mean_over == "pairs" else torch.full_like(count, len(batch.labels))
