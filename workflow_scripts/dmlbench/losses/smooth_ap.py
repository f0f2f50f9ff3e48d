"""Smooth-AP loss."""

import torch

from dmlbench.losses.base import Loss, LossResult, register_loss
from dmlbench.losses.ranking import Ranked
from dmlbench.plugins.types import PositiveFloat
from dmlbench.samplers.batch import Batch, Tuples


@register_loss("smooth_ap", takes="batch", label="Smooth-AP")
class SmoothAP(Loss):
    """Smooth-AP: one minus the average precision, with sigmoids in place of steps.

    Brown et al. 2020, section 4, on cosine similarities: an item i of the positives P of a query
    has the precision (1 + sum_P G(s_j - s_i)) / (1 + sum_P G(s_j - s_i) + sum_N G(s_j - s_i)), j
    other than i, G(x) = sigmoid(x / temperature). The mean is over the positives of a query, then
    over the queries of the batch that have a positive and a negative. Classes may have any sizes
    and stand in any order. Copies of the query are not ranked.
    """

    def __init__(
        self, *, temperature: PositiveFloat = 0.01, query_ranked: bool = False, **sizes: int
    ) -> None:
        """``temperature`` is how wide a step is, in cosine.

        ``query_ranked``: a query is one of its own positives, as in the released code and in
        pytorch-metric-learning: it comes first, and every other rank is one higher.
        """
        super().__init__(**sizes)
        self.temperature = temperature
        self.query_ranked = query_ranked

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        positives = batch.positives
        if self.query_ranked:
            positives = positives | positives.any(dim=1).diag()
        scores = batch.similarities / self.temperature
        ranked = Ranked.of(scores, positives, batch.negatives, torch.sigmoid)
        return LossResult(ranked.ap_loss(), ranked.outranked, means=ranked.means())
