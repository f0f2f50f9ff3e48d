"""ROADMAP loss: an upper bound of the average precision's, and a calibration of similarities."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from dmlbench.losses.base import Loss, LossResult, register_loss
from dmlbench.losses.ranking import Ranked
from dmlbench.plugins.types import NonNegativeFloat, PositiveFloat
from dmlbench.samplers.batch import Batch, Tuples

Cosine = Annotated[float, Field(ge=-1, le=1, strict=True)]
Weight = Annotated[float, Field(ge=0, le=1, strict=True)]


@register_loss("roadmap", takes="batch", label="ROADMAP")
class Roadmap(Loss):
    """ROADMAP: (1 - calibration) SupAP + calibration times the calibration loss.

    Ramzi et al. 2021, section 3, on cosine similarities. SupAP is one minus the average precision
    (the mean over positives, then over queries). Of the other positives above an item each counts
    1, without gradient. Of the negatives each counts H(x), x its similarity less the item's:
    sigmoid(x / temperature) for x < 0, half more for x >= 0, and from ``delta`` on a line of slope
    ``rho``. So SupAP is never below one minus the average precision, and its gradient does not
    vanish where a negative is far too high. The calibration loss is, for a query, the mean of
    (alpha - s)_+ over its positives plus that of (s - beta)_+ over its negatives. Queries without a
    positive or a negative take no part.

    The released code weighs both parts with 1 (the direction is the same), ranks the query among
    its positives, has half more for x > 0 only, and goes on with rho x + 1.44 after delta, which
    jumps there.
    """

    def __init__(
        self,
        *,
        temperature: PositiveFloat = 0.01,
        rho: NonNegativeFloat = 100.0,
        delta: NonNegativeFloat = 0.05,
        alpha: Cosine = 0.9,
        beta: Cosine = 0.6,
        calibration: Weight = 0.5,
        pairs: Literal["all", "active"] = "all",
        **sizes: int,
    ) -> None:
        """``calibration`` is the paper's lambda, ``temperature`` its tau; 0 is SupAP alone.

        ``pairs``: what the calibration loss is a mean over. ``all`` is the paper's; ``active``
        takes the pairs of the batch that are not zero, positives and negatives apart, as the
        released code does (by pytorch-metric-learning's ContrastiveLoss).
        """
        super().__init__(**sizes)
        self.temperature = temperature
        self.rho = rho
        self.delta = delta
        self.alpha = alpha
        self.beta = beta
        self.calibration = calibration
        self.pairs = pairs

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        scores = batch.similarities / self.temperature
        ranked = Ranked.of(scores, batch.positives, batch.negatives, self._step, _counts_one)
        sup_ap, calibration = ranked.ap_loss(), self._calibration(batch)
        value = (1 - self.calibration) * sup_ap + self.calibration * calibration
        means = {"sup_ap": sup_ap, "calibration": calibration} | ranked.means()
        return LossResult(value, ranked.outranked, means=means)

    def _step(self, above: torch.Tensor) -> torch.Tensor:
        """H of the class's docstring; ``above`` is over the temperature."""
        bend = self.delta / self.temperature
        line = self.rho * self.temperature * (above - bend).relu()
        return above.clamp(max=bend).sigmoid() + 0.5 * _counts_one(above) + line

    def _calibration(self, batch: Batch) -> torch.Tensor:
        takes_part = batch.positives.any(dim=1) & batch.negatives.any(dim=1)
        lacks = (self.alpha - batch.similarities).relu() * batch.positives
        exceeds = (batch.similarities - self.beta).relu() * batch.negatives
        total = batch.similarities.new_zeros(())
        for terms, pairs in ((lacks, batch.positives), (exceeds, batch.negatives)):
            kept = terms * takes_part[:, None]
            if self.pairs == "active":
                total = total + kept.sum() / (kept > 0).sum().clamp(min=1)
            else:
                means = kept.sum(dim=1) / pairs.sum(dim=1).clamp(min=1)
                total = total + means.sum() / takes_part.sum().clamp(min=1)
        return total


def _counts_one(above: torch.Tensor) -> torch.Tensor:
    """1 for what lies above or level, else 0; without gradient."""
    return (above >= 0).to(above.dtype)
