"""What choices of positives and negatives are, and drawing."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F

from dmlbench.plugins.registry import REGISTRIES
from dmlbench.samplers.batch import Batch

#: Weights are counted in steps of this: sums of them are exact, and the same on any device.
_STEPS = 2.0**30

register_positive = REGISTRIES["positive"].register
register_negative = REGISTRIES["negative"].register


class PositiveChoice(ABC):
    """Chooses one positive for each anchor, or a set (``chooses``)."""

    @abstractmethod
    def __call__(self, batch: Batch) -> torch.Tensor:
        """For ``one``, B positions; for ``set``, a B x B mask.

        What is chosen for an anchor without any positive is ignored.
        """


class NegativeChoice(ABC):
    """Chooses one negative for each positive pair, or a set for each anchor (``chooses``)."""

    @abstractmethod
    def __call__(self, batch: Batch, *chosen: torch.Tensor) -> torch.Tensor:
        """For ``one``, T positions; for ``set``, a B x B mask.

        What is chosen for an anchor without any negative is ignored. ``chosen`` are T anchors and
        their T positives, as positions, for ``one``; the B x B mask of positives for ``set``.
        """


def or_else(mask: torch.Tensor, fallback: torch.Tensor) -> torch.Tensor:
    """An R x C mask, with the rows of ``fallback`` where its own mark nothing."""
    return mask | (fallback & ~mask.any(dim=1, keepdim=True))


def draw(weights: torch.Tensor, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One column for each of ``rows``, drawn in proportion to that row's weights.

    The cumulative sum of all rows is searched for a random number in the row's part of it. It is of
    integers: a sum of floats is not the same on every device and may fall where it should not.
    Nothing waits for a GPU.

    Args:
        weights: R x C, a mask, or weights between 0 and 1; below 2^-30 a weight counts as zero, so
            the largest of a row should be 1.
        rows: T rows, any of them any number of times.
        generator: The random stream.

    Returns:
        T columns; any column where the row has no weight.
    """
    columns = weights.shape[1]
    steps = weights if weights.dtype == torch.bool else weights * _STEPS
    sums = steps.long().flatten().cumsum(0)
    ends = F.pad(sums[columns - 1 :: columns], (1, 0))  # of the rows
    before = ends.index_select(0, rows)
    total = ends[1:].index_select(0, rows) - before
    uniform = torch.rand(len(rows), generator=generator, dtype=torch.float64, device=rows.device)
    found = torch.searchsorted(sums, before.add_(uniform.mul_(total).long()), right=True)
    return found.sub_(rows, alpha=columns).clamp_(0, columns - 1)
