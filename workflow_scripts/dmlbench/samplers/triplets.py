"""Triplets of a batch: what samplers make and losses take."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Triplets:
    """Positions in a batch.

    Attributes:
        anchor, positive, negative: T positions each; row t is one triplet.
    """

    anchor: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor

    def __len__(self) -> int:
        return len(self.anchor)
