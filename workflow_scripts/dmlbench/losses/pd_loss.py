"""Proxy-Decidability loss."""

import math
from typing import Any

from dmlbench.losses.base import LossResult, register_loss
from dmlbench.losses.decidability import Moments
from dmlbench.losses.proxies import ProxyLoss
from dmlbench.plugins.types import PositiveFloat
from dmlbench.samplers.batch import Batch, Tuples


@register_loss("pd_loss", takes="batch", label="PD-Loss")
class PDLoss(ProxyLoss):
    """PD-Loss: decidability of image-to-proxy similarities, -log(mu_gen - mu_imp) + log(v)/2.

    Silva et al. 2025 (arXiv 2508.17082): genuine similarities are cosines of images with their own
    class's proxy, impostor ones with all others, each over the temperature; v is the sum of their
    variances. The form with the logarithm is that of the authors' README (-log d' up to a
    constant); ``log: false`` is -d', their "without the logarithmic term" (figure 2). d' does not
    change with scale, so the temperature acts through ``epsilon`` only; a sweep over it shows
    rounding. Where mu_gen - mu_imp is below ``epsilon``, it is raised to it and has no gradient;
    such steps are counted (history.csv: clamped_steps). With ``proxies_per_class`` above 1 an
    image's own proxy is the most similar of its class's (:class:`ProxyLoss`), which is ours.
    """

    def __init__(
        self,
        *,
        log: bool = True,
        temperature: PositiveFloat = 1.0,
        epsilon: PositiveFloat = 1.0e-6,
        **others: Any,
    ) -> None:
        """Set the form; neither the paper nor its README says ``proxy_lr``.

        ``proxies`` start at ``random`` directions in the paper's plots, at ``class_means`` in the
        README, which hardly ever needs the clamp.
        """
        super().__init__(**others)
        self.log = log
        self.temperature = temperature
        self.epsilon = epsilon

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        cosines, _, genuine, impostor = similarities = self.similarities(batch)
        moments = Moments.of(cosines / self.temperature, genuine, impostor)
        means = self.used(similarities)
        if not self.log:
            return LossResult(-moments.decidability(self.epsilon), means=means)
        log, clamped = moments.log_decidability(self.epsilon)
        counts = {"clamped_steps": clamped.float()}
        return LossResult(math.log(2) / 2 - log, counts=counts, means=means)
