"""Weighted sum of losses."""

from collections import Counter

import torch

from dmlbench.errors import ConfigError
from dmlbench.losses.base import LossResult, register_loss
from dmlbench.losses.building import Nested, build_loss
from dmlbench.plugins.types import LossSpec, NonNegativeFloat
from dmlbench.samplers.batch import Batch, Tuples


@register_loss("sum", takes="inner", label="Sum")
class WeightedSum(Nested):
    """Weighted sum of losses: sum_i weight_i * loss_i of the same batch.

    A regulariser joins a loss like this. Losses on tuples see what the sampler chose, all others
    the whole batch. Each keeps its own learning rate. history.csv has the value of each, without
    its weight, as ``losses.0``, ``losses.1``, ...; their own numbers stand under their names, and
    where two have one name as ``losses.0.name``.
    """

    def __init__(
        self,
        *,
        losses: list[LossSpec],
        weights: list[NonNegativeFloat] | None = None,
        **sizes: int,
    ) -> None:
        """``losses`` are described like entries of ``losses``; ``weights`` are all 1 by default.

        A ConfigError says that there are none, not as many weights, or no proxies for a loss that
        works on those of another.
        """
        weights = [1.0] * len(losses) if weights is None else weights
        if not losses or len(weights) != len(losses):
            raise ConfigError(
                f"sum: weights: there are {len(weights)} for {len(losses)} losses; give each loss "
                "its weight"
            )
        super().__init__([build_loss(loss, **sizes) for loss in losses], **sizes)
        self.weights = [float(weight) for weight in weights]
        for loss in self.losses:
            if hasattr(loss, "find_proxies"):
                loss.find_proxies([other for other in self.losses if other is not loss])

    def result(self, batch: Batch, tuples: Tuples | None) -> LossResult:
        results = [loss.result(batch, tuples) for loss in self.losses]
        values = [each.value for each in results]
        total = sum(w * value for w, value in zip(self.weights, values, strict=True))
        active = [each.active for each in results if each.active is not None]
        parts = {f"losses.{number}": value for number, value in enumerate(values)}
        return LossResult(
            torch.as_tensor(total),
            sum(active[1:], active[0]) if active else None,
            _joined([each.counts for each in results]),
            parts | _joined([each.means for each in results]),
        )


def _joined(numbers: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The numbers of all losses by name; by loss and name where several have one name."""
    times = Counter(name for each in numbers for name in each)
    return {
        name if times[name] == 1 else f"losses.{number}.{name}": value
        for number, each in enumerate(numbers)
        for name, value in each.items()
    }
