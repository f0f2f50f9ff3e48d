"""Threshold-consistent margin."""

import torch

from dmlbench.losses.base import Loss, LossResult, register_loss
from dmlbench.plugins.types import NonNegativeFloat
from dmlbench.samplers.batch import Batch, Tuples
from dmlbench.samplers.negatives import AllNegatives
from dmlbench.samplers.positives import AllPositives
from dmlbench.samplers.sampler import TupleSampler


@register_loss("threshold_consistent", takes="batch", label="TCM")
class ThresholdConsistent(Loss):
    """Threshold-consistent margin: how far pairs lie beyond two fixed cosine similarities.

    Zhang et al. 2023 (arXiv 2307.04047): the mean of (positive_margin - S_ap) over the positive
    pairs at or below that margin, plus the mean of (S_an - negative_margin) over the negative
    pairs at or above theirs, each with its weight. It looks at all pairs of the batch, whatever a
    sampler chooses; an anchor without a positive or without a negative takes no part. It is a
    regulariser: add it to a loss by ``sum``, so that one threshold fits all classes.
    """

    def __init__(
        self,
        *,
        positive_margin: float = 0.9,
        negative_margin: float = 0.5,
        positive_weight: NonNegativeFloat = 1.0,
        negative_weight: NonNegativeFloat = 1.0,
        **sizes: int,
    ) -> None:
        """Set the two cosine similarities, and the weights of the two means."""
        super().__init__(**sizes)
        self.margins = positive_margin, negative_margin
        self.weights = positive_weight, negative_weight
        self._pairs = TupleSampler(AllPositives(), AllNegatives())

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        pairs, similarities = self._pairs(batch), batch.similarities
        near = _beyond(self.margins[0] - similarities, pairs.positives)
        far = _beyond(similarities - self.margins[1], pairs.negatives)
        value = self.weights[0] * near[0] + self.weights[1] * far[0]
        return LossResult(value, near[1] + far[1])


def _beyond(excess: torch.Tensor, pairs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of an excess over the pairs where it is not negative, and how many these are."""
    beyond = pairs & (excess >= 0)
    number = beyond.sum()
    return (excess * beyond).sum() / number.clamp(min=1), number
