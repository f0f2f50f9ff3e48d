"""What a loss is."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from dmlbench.plugins.registry import REGISTRIES
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.tuples import Tuples
from dmlbench.tensors.distances import full_precision

_LOSSES = REGISTRIES["loss"]
register_loss = _LOSSES.register
get_loss = _LOSSES.get
loss_names = _LOSSES.names


@dataclass(frozen=True)
class LossResult:
    """What a loss says of one batch.

    Attributes:
        value: The number to minimise, a scalar.
        active: How many of its terms are not zero; None where a loss has no terms to count.
        counts: Further scalars, summed over an epoch into history.csv.
    """

    value: torch.Tensor
    active: torch.Tensor | None = None
    counts: dict[str, torch.Tensor] = field(default_factory=dict)


class Loss(nn.Module):
    """Base of all losses.

    Attributes:
        takes: ``tuples`` of a sampler, the whole ``batch``, or ``any`` of the two.
        wants_class_means: It calls for :meth:`start` before the first step.
    """

    takes = "batch"
    wants_class_means = False

    def __init__(self, *, num_classes: int, embedding_dim: int) -> None:
        """Every loss is told what it may need to size its parameters."""
        super().__init__()
        self.num_classes = num_classes
        self.embedding_dim = embedding_dim

    @abstractmethod
    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        """The loss of a batch; see :meth:`forward`."""

    def forward(self, batch: Batch, tuples: Tuples | None = None) -> LossResult:
        """The loss of a batch, computed in float32 (float64 for such a batch) under autocast too.

        Without any pair to learn from it is exactly zero and can still be differentiated. NaN
        embeddings give NaN, also where no chosen tuple holds them.

        Args:
            batch: Embeddings and labels.
            tuples: What the sampler chose; None for a loss that takes the whole batch.
        """
        with full_precision(batch.embeddings.device):
            result = self.result(batch, tuples)
            value = result.value.add(batch.embeddings.detach().sum(), alpha=0)
        return LossResult(value, result.active, result.counts)

    def start(self, class_means: torch.Tensor) -> None:
        """Initialise from the means of the training classes' embeddings before training.

        Args:
            class_means: num_classes x D means of L2-normalised embeddings of the initial network.
        """

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser groups of the loss's own parameters; none may be left out."""
        return [{"params": list(self.parameters())}] if list(self.parameters()) else []


class TupleLoss(Loss):
    """Base of the losses on tuples: terms first, then one number.

    Attributes:
        reduction: ``mean`` over all terms, or ``active``: the sum over the number of terms that
            are not zero.
    """

    takes = "tuples"
    reduction = "mean"

    @abstractmethod
    def terms(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss terms before reduction, and a mask of the same shape: which of them count.

        Those that do not count must be finite for finite embeddings.
        """

    def sums(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The sum of the terms, how many there are, and how many are active (not zero)."""
        values, counted = self.terms(batch, tuples)
        counted = counted.to(values.dtype)
        values = values * counted
        return values.sum(), counted.sum(), torch.count_nonzero(values)

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        assert tuples is not None, f"{type(self).__name__} needs tuples"
        total, count, active = self.sums(batch, tuples)
        return LossResult(total / self.divisor(batch, count, active).clamp(min=1), active)

    def divisor(self, batch: Batch, count: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """What the sum is divided by; at least one."""
        return active if self.reduction == "active" else count
