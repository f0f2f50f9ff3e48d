"""Proxy-Decidability loss."""

import math
from typing import Any, Literal

from dmlbench.losses.base import LossResult, ProxyLoss, register_loss
from dmlbench.losses.decidability import Moments
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
    such steps are counted (history.csv: clamped_steps).
    """

    def __init__(
        self,
        *,
        log: bool = True,
        temperature: PositiveFloat = 1.0,
        epsilon: PositiveFloat = 1.0e-6,
        proxies: Literal["random", "class_means"] = "random",
        **others: Any,
    ) -> None:
        """Set the form; neither the paper nor its README says ``proxy_lr``.

        ``proxies`` start at ``random`` directions (the paper's plots) or at the mean of each
        class's initial embeddings (the README), which hardly ever needs the clamp.
        """
        super().__init__(**others)
        self.wants_class_means = proxies == "class_means"
        self.log = log
        self.temperature = temperature
        self.epsilon = epsilon

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        similarities, own = self.similarities(batch)
        moments = Moments.of(similarities / self.temperature, own, ~own)
        if not self.log:
            return LossResult(-moments.decidability(self.epsilon))
        log, clamped = moments.log_decidability(self.epsilon)
        return LossResult(math.log(2) / 2 - log, counts={"clamped_steps": clamped.float()})
