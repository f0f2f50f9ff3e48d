"""Decidability loss."""

from typing import Literal

import torch

from dmlbench.losses.base import Loss, LossResult, register_loss
from dmlbench.losses.decidability import Moments
from dmlbench.plugins.types import PositiveFloat
from dmlbench.samplers.batch import Batch, Tuples


@register_loss("d_loss", takes="batch", label="D-Loss")
class DLoss(Loss):
    """D-Loss: the decidability d' of all genuine and impostor pairs of the batch, made a loss.

    Silva et al. 2022 (arXiv 2109.05524) compare all pairs by similarity, without parameters. Only
    the abstract could be read, which does not name the falling function of d', so there are three:
    -d', 1/d' and -log d'. d' keeps its sign. For 1/d' and -log d' its numerator is raised to
    ``epsilon``; such steps are counted. A batch without genuine or without impostor pairs costs
    exactly zero; two copies of an image are no pair.
    """

    def __init__(
        self,
        *,
        form: Literal["negative", "inverse", "log"] = "log",
        epsilon: PositiveFloat = 1.0e-6,
        **sizes: int,
    ) -> None:
        """``form``: -d' (negative), 1/d' (inverse) or -log d' (log)."""
        super().__init__(**sizes)
        self.form = form
        self.epsilon = epsilon

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        upper = torch.ones_like(batch.negatives).triu(diagonal=1)  # each pair once
        genuine, impostor = batch.positives & upper, batch.negatives & upper
        # An empty side has NaN moments; zero similarities stand in for them.
        both = genuine.any() & impostor.any()
        similarities = torch.where(both, batch.similarities, 0.0)
        stand_in = torch.eye(len(batch.labels), dtype=torch.bool, device=batch.labels.device)
        genuine, impostor = (torch.where(both, side, stand_in) for side in (genuine, impostor))
        moments = Moments.of(similarities, genuine, impostor)
        if self.form == "negative":
            return LossResult(torch.where(both, -moments.decidability(self.epsilon), 0.0))
        log, clamped = moments.log_decidability(self.epsilon)
        value = -log if self.form == "log" else (-log).exp()
        return LossResult(
            torch.where(both, value, 0.0), counts={"clamped_steps": (clamped & both).float()}
        )
