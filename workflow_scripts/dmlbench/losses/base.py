"""What a loss is."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from dmlbench.plugins.registry import REGISTRIES
from dmlbench.plugins.types import LossRate
from dmlbench.samplers.batch import Batch, cosine_similarities
from dmlbench.samplers.tuples import Tuples

register_loss = REGISTRIES["loss"].register


@dataclass(frozen=True)
class LossResult:
    """What a loss says of one batch, in scalars.

    ``value`` is minimised; ``active`` is how many of its terms are not zero (None without terms);
    ``counts`` are summed over an epoch into history.csv.
    """

    value: torch.Tensor
    active: torch.Tensor | None = None
    counts: dict[str, torch.Tensor] = field(default_factory=dict)


class Loss(nn.Module):
    """Base of all losses; ``wants_class_means`` calls for :meth:`start` before the first step."""

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
        embeddings give NaN, also where no chosen tuple holds them. ``tuples`` is what the sampler
        chose; None for a loss that takes the whole batch.
        """
        with torch.autocast(batch.embeddings.device.type, enabled=False):
            result = self.result(batch, tuples)
            value = result.value.add(batch.embeddings.detach().sum(), alpha=0)
        return LossResult(value, result.active, result.counts)

    def start(self, class_means: torch.Tensor) -> None:
        """Initialise from the means of each class's L2-normalised embeddings: num_classes x D."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser groups of the loss's own parameters; none may be left out."""
        parameters = list(self.parameters())
        return [{"params": parameters}] if parameters else []


class TupleLoss(Loss):
    """Base of the losses on tuples: terms first, then their mean (:meth:`divisor`)."""

    @abstractmethod
    def terms(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor]:
        """The terms before reduction, finite for finite embeddings, and a mask: which count."""

    def sums(self, batch: Batch, tuples: Tuples) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The sum of the terms, how many there are, and how many are active (not zero)."""
        values, counted = self.terms(batch, tuples)
        counted = counted.to(values.dtype)
        values = values * counted
        return values.sum(), counted.sum(), torch.count_nonzero(values)

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        total, count, active = self.sums(batch, tuples)
        return LossResult(total / self.divisor(batch, count, active).clamp(min=1), active)

    def divisor(self, batch: Batch, count: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """What the sum is divided by, at least one: the number of terms."""
        return count


class ProxyLoss(Loss):
    """Base of the losses that compare images with proxies; both are L2-normalised.

    ``proxies`` are num_classes x D, learned; only their directions matter.
    """

    def __init__(self, *, proxy_lr: LossRate = 5.0e-4, **sizes: int) -> None:
        """Start proxies in random directions; ``proxy_lr`` is their learning rate."""
        super().__init__(**sizes)
        self.proxy_lr = proxy_lr
        # Entries of about the size of a unit vector's, so that a step of the optimiser turns a
        # proxy as much as it would turn one on the sphere.
        proxies = torch.randn(self.num_classes, self.embedding_dim) / self.embedding_dim**0.5
        self.proxies = nn.Parameter(proxies)

    @torch.no_grad()
    def start(self, class_means: torch.Tensor) -> None:
        """Put each proxy where the mean of its class lies."""
        self.proxies.copy_(nn.functional.normalize(class_means, dim=1))

    def similarities(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine similarities with all proxies, and a mask of each image's own: B x C both."""
        classes = torch.arange(self.num_classes, device=batch.labels.device)
        own = batch.labels[:, None] == classes  # one_hot would wait for a GPU
        proxies = self.proxies.to(batch.embeddings.dtype)
        return cosine_similarities(batch.embeddings, proxies), own

    def parameter_groups(self) -> list[dict]:
        """Proxies move at their own rate, if they have one, and are not decayed."""
        rate = {} if self.proxy_lr is None else {"lr": self.proxy_lr}
        return [{"params": [self.proxies], "weight_decay": 0.0, **rate}]
