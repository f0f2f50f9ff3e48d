"""What a loss is: ours, a library's, or the user's own."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.plugins.registry import REGISTRIES
from dmlbench.plugins.types import LossRate
from dmlbench.samplers.batch import Batch, Tuples

register_loss = REGISTRIES["loss"].register


@dataclass(frozen=True)
class LossResult:
    """What a loss says of one batch, in scalars.

    ``value`` is minimised; ``active`` is how many of its terms are not zero (None without terms);
    ``counts`` are summed over an epoch into history.csv, ``means`` averaged over its steps; both
    have the same names in each step.
    """

    value: torch.Tensor
    active: torch.Tensor | None = None
    counts: dict[str, torch.Tensor] = field(default_factory=dict)
    means: dict[str, torch.Tensor] = field(default_factory=dict)


class Loss(nn.Module):
    """Base of all losses.

    ``wants_class_means`` calls for :meth:`start` before the first step, ``wants_features`` for
    :meth:`take_features` and for ``features`` in each batch. ``own_lr`` is the learning rate of the
    loss's own parameters, which frees them from weight decay; None takes the recipe's.
    """

    wants_class_means = False
    wants_features = False
    own_lr: LossRate = None

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
        return replace(result, value=value)

    def start(self, class_means: torch.Tensor) -> None:
        """Initialise from the means of each class's L2-normalised embeddings: num_classes x D."""

    def take_features(self, count: int) -> None:
        """Make the parameters that work on ``count`` features; called before the optimiser is."""

    def refusals(self, recipe: dict, steps: int | None) -> Iterator[str]:
        """Why a resolved ``recipe`` cannot train with this loss; asked when the config is read.

        ``steps`` are the most that its training can have; None where that is not known.
        """
        yield from ()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser groups of the loss's own parameters; none may be left out."""
        parameters = list(self.parameters())
        rate = {} if self.own_lr is None else {"lr": self.own_lr, "weight_decay": 0.0}
        return [{"params": parameters, **rate}] if parameters else []


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


class ForeignLoss(Loss):
    """Calls ``module(embeddings, labels)``, with the indices of tuples where a sampler chose some.

    Most of pytorch-metric-learning's losses normalise embeddings themselves. Without a sampler
    they form all pairs of the batch, copies of an image among the positives.
    """

    def __init__(self, module: nn.Module, lr: float | None, **sizes: int) -> None:
        super().__init__(**sizes)
        self.module = module
        self.own_lr = lr
        self._parameter_ids = [id(p) for p in self.parameters()]
        _check_registered(module)

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        """A ConfigError where it gives no scalar, or made parameters that no optimizer knows."""
        embeddings = batch.embeddings
        if not embeddings.isfinite().all():  # no loss says what it would do with them
            return LossResult(embeddings.sum() * torch.nan)
        indices = () if tuples is None else (tuples.indices(),)
        value = self.module(embeddings, batch.labels, *indices)
        name = type(self.module).__name__
        if not isinstance(value, torch.Tensor) or value.dim():
            shape = f" of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else ""
            raise ConfigError(f"the loss {name} gave a {type(value).__name__}{shape}, not a scalar")
        if [id(p) for p in self.parameters()] != self._parameter_ids:
            raise ConfigError(
                f"the loss {name} makes parameters while it is used, which no optimizer moves; "
                "make them in __init__"
            )
        return LossResult(value)


def _check_registered(module: nn.Module) -> None:
    """Refuse parameters in a plain list: to PyTorch they are none, and would never move."""
    for inner in module.modules():
        for name, value in vars(inner).items():
            held = value.values() if isinstance(value, dict) else value
            plain = isinstance(value, list | tuple | dict) and not name.startswith("_")
            if plain and any(isinstance(item, nn.Parameter) for item in held):
                raise ConfigError(
                    f"the loss {type(module).__name__} keeps parameters in a plain "
                    f"{type(value).__name__}, '{name}', which no optimizer finds; use "
                    "torch.nn.ParameterList or ParameterDict"
                )
