"""ProxyNCA loss."""

from typing import Any

import torch

from dmlbench.losses.base import LossResult, register_loss
from dmlbench.losses.proxies import ProxyLoss
from dmlbench.plugins.types import PositiveFloat
from dmlbench.samplers.batch import Batch, Tuples


@register_loss("proxy_nca", takes="batch", label="ProxyNCA")
class ProxyNCA(ProxyLoss):
    """ProxyNCA: -log(exp(-s d(x, p_y)) / sum_c exp(-s d(x, p_c))), d the squared distance.

    Movshovitz-Attias et al. 2017, equation 4, on unit vectors; the sum leaves out the image's own
    proxy there and in Roth et al. 2020. With ``positive_in_denominator`` it is a softmax over all
    proxies, as in ProxyNCA++ (Teh et al. 2020) and in pytorch-metric-learning. The mean is over
    the batch. Roth et al. scale both sides by 3, which makes s = 9, the default here;
    pytorch-metric-learning's default is 1. With ``proxies_per_class`` above 1 p_y is the nearest of
    the class's (:class:`ProxyLoss`), which is ours.
    """

    def __init__(
        self, *, scale: PositiveFloat = 9.0, positive_in_denominator: bool = False, **others: Any
    ) -> None:
        """``scale`` is s, one over the temperature."""
        super().__init__(**others)
        self.scale = scale
        self.positive_in_denominator = positive_in_denominator

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        similarities = self.similarities(batch)
        logits = -self.scale * (2 - 2 * similarities.cosines)  # B x P; unit vectors: d = 2 - 2 cos
        summed = similarities.impostor
        if self.positive_in_denominator:
            summed = summed | similarities.genuine
        others = logits.masked_fill(~summed, -torch.inf)
        mine = logits.gather(1, similarities.easy[:, None]).squeeze(1)
        value = (others.logsumexp(dim=1) - mine).mean()
        return LossResult(value, means=self.used(similarities))
