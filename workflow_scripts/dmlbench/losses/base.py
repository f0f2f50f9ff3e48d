"""What a loss is."""

from abc import abstractmethod

import torch
from torch import nn

from dmlbench.registry import Registry
from dmlbench.samplers.triplets import Triplets

_LOSSES = Registry("loss", "dmlbench.losses")
register_loss = _LOSSES.register
get_loss = _LOSSES.get
loss_names = _LOSSES.names


class TripletLoss(nn.Module):
    """Base of the losses on triplets: terms first, then one number.

    Attributes:
        reduction: ``mean`` over all terms, or ``active``: the sum over the number of terms that
            are not zero.
    """

    reduction = "mean"

    def __init__(self, *, num_classes: int, embedding_dim: int) -> None:
        """Every loss is told what it may need to size its parameters."""
        super().__init__()
        self.num_classes = num_classes
        self.embedding_dim = embedding_dim

    @abstractmethod
    def terms(
        self, embeddings: torch.Tensor, labels: torch.Tensor, triplets: Triplets
    ) -> torch.Tensor:
        """The loss terms, before reduction: one vector, float32.

        Args:
            embeddings: B x D, float32.
            labels: B class numbers in 0 .. num_classes - 1.
            triplets: Positions in the batch.
        """

    def forward(
        self, embeddings: torch.Tensor, labels: torch.Tensor, triplets: Triplets
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and how many of its terms are active (not zero).

        Without triplets the loss is exactly zero and can still be differentiated.
        """
        embeddings = embeddings.float()
        terms = self.terms(embeddings, labels, triplets)
        active = (terms > 0).sum()
        if len(terms) == 0:
            zero = embeddings.sum() * 0 + sum(p.sum() * 0 for p in self.parameters())
            return zero, active
        if self.reduction == "active":
            return terms.sum() / active.clamp(min=1), active
        return terms.mean(), active

    def parameter_groups(self) -> list[dict]:
        """Optimiser groups of the loss's own parameters; none may be left out."""
        return [{"params": list(self.parameters())}] if list(self.parameters()) else []


def build_loss(spec: dict, num_classes: int, embedding_dim: int) -> TripletLoss:
    """The loss of a resolved config entry."""
    options = {k: v for k, v in spec.items() if k not in ("name", "type")}
    return get_loss(spec["type"])(num_classes=num_classes, embedding_dim=embedding_dim, **options)
