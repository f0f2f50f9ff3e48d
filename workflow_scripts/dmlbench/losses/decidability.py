"""The decidability index d' of genuine and impostor similarities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the evaluation has moments without torch
    import torch


@dataclass(frozen=True)
class Moments:
    """Means and population variances of two groups of similarities, as scalars (or floats).

    ``genuine`` pairs are of one class, ``impostor`` pairs of two.
    """

    genuine_mean: torch.Tensor
    genuine_variance: torch.Tensor
    impostor_mean: torch.Tensor
    impostor_variance: torch.Tensor

    @classmethod
    def of(cls, similarities: torch.Tensor, genuine: torch.Tensor, impostor: torch.Tensor):
        """The moments of ``similarities`` under two masks of its shape; NaN where one is empty."""
        moments = []
        for mask in (genuine, impostor):
            count = mask.sum()
            mean = similarities.where(mask, 0.0).sum() / count
            squares = (similarities - mean).square().where(mask, 0.0)
            moments += [mean, squares.sum() / count]
        return cls(*moments)

    @property
    def difference(self) -> torch.Tensor:
        """How much more alike genuine pairs are than impostor pairs."""
        return self.genuine_mean - self.impostor_mean

    @property
    def spread(self) -> torch.Tensor:
        """The sum of the two variances."""
        return self.genuine_variance + self.impostor_variance

    def decidability(self, epsilon: float = 0.0) -> torch.Tensor:
        """d' = (mu_gen - mu_imp) / sqrt((var_gen + var_imp) / 2), with its sign.

        Daugman's index (PD-Loss, abstract; metric literature since 1993) takes the absolute value;
        as something to maximise that would reward genuine pairs for being less alike.
        ``epsilon`` is added to the variances.
        """
        return self.difference / ((self.spread + epsilon) / 2) ** 0.5

    def log_decidability(self, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
        """log d', and whether the difference of means had to be raised to ``epsilon`` for it.

        A raised difference has no gradient; only the variances act in such a step.
        """
        difference = self.difference.clamp(min=epsilon)
        spread = (self.spread + epsilon).log() - math.log(2)
        return difference.log() - spread / 2, self.difference < epsilon
