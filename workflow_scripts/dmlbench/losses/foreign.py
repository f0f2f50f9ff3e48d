"""A loss of pytorch-metric-learning, or of one's own, behind the interface of ours."""

import torch
from torch import nn

from dmlbench.losses.base import Loss, LossResult
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.tuples import Tuples


class ForeignLoss(Loss):
    """Calls ``module(embeddings, labels)``, with the indices of tuples where a sampler chose some.

    Most of pytorch-metric-learning's losses normalise embeddings themselves. Without a sampler
    they form all pairs of the batch, copies of an image among the positives.
    """

    takes = "any"

    def __init__(
        self, module: nn.Module, lr: float | None, *, num_classes: int, embedding_dim: int
    ) -> None:
        """Wrap ``module``; its parameters move at ``lr``, or at the recipe's rate if None."""
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.module = module
        self.lr = lr

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        embeddings, labels = batch.embeddings, batch.labels
        if not embeddings.isfinite().all():  # what it would do with them, no loss says
            return LossResult(embeddings.sum() * torch.nan)
        if tuples is None:
            return LossResult(self.module(embeddings, labels))
        return LossResult(self.module(embeddings, labels, tuples.indices()))

    def parameter_groups(self) -> list[dict]:
        """One group; a rate of their own frees them from weight decay too."""
        groups = super().parameter_groups()
        if self.lr is None:
            return groups
        return [group | {"lr": self.lr, "weight_decay": 0.0} for group in groups]
