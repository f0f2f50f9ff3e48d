"""Multi-Similarity loss."""

from typing import Literal

import torch
import torch.nn.functional as F

from dmlbench.losses.base import TupleLoss, register_loss
from dmlbench.plugins.types import Rate
from dmlbench.samplers.batch import Batch, Tuples


@register_loss("multi_similarity", takes="tuples", label="MS")
class MultiSimilarity(TupleLoss):
    """Multi-Similarity loss: log-sum-exps of an anchor's positive and negative similarities.

    Wang et al. 2019, equation 9, for each anchor, on cosine similarities S:
    1/alpha log(1 + sum_P exp(-alpha (S_ap - threshold)))
    + 1/beta log(1 + sum_N exp(beta (S_an - threshold))).
    The defaults are the paper's and EPS's (section 5.2.3; the threshold is their lambda); the
    released code takes threshold 0.5 and beta 40, pytorch-metric-learning 0.5 and 50. A sampler
    does the mining (``multi_similarity`` positives and negatives); with EPS the positives of an
    anchor are its easy one.
    """

    def __init__(
        self,
        *,
        alpha: Rate = 2.0,
        beta: Rate = 50.0,
        threshold: float = 1.0,
        normalizer: Literal["batch", "mined"] = "batch",
        **sizes: int,
    ) -> None:
        """``normalizer`` is what the sum is divided by.

        That is the images of the ``batch`` (the paper and its code), or the anchors that have a
        pair (``mined``, Roth et al. 2020).
        """
        super().__init__(**sizes)
        self.alpha = alpha
        self.beta = beta
        self.threshold = threshold
        self.normalizer = normalizer

    def terms(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor]:
        """B terms, one for each anchor; those that have a pair count."""
        sets = tuples.pair_sets(len(batch.labels))
        near = _soft_excess(batch.similarities, sets.positives, -self.alpha, self.threshold)
        far = _soft_excess(batch.similarities, sets.negatives, self.beta, self.threshold)
        return near + far, (sets.positives | sets.negatives).any(dim=1)

    def divisor(self, batch: Batch, count: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """With normalizer ``batch``, anchors without a pair count as zero terms."""
        size = torch.full_like(count, len(batch.labels))
        return size if self.normalizer == "batch" else count


def _soft_excess(
    similarities: torch.Tensor, mask: torch.Tensor, rate: float, threshold: float
) -> torch.Tensor:
    """log(1 + sum of exp(rate (S - threshold))) / |rate| over the marks of each row: B numbers."""
    terms = (rate * (similarities - threshold)).masked_fill(~mask, -torch.inf)
    return F.pad(terms, (1, 0)).logsumexp(dim=1) / abs(rate)  # exp(0) is the 1 of the sum
