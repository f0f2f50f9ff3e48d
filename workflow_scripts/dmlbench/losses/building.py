"""Losses of resolved config entries, and losses that have others inside."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from dmlbench.losses.base import ForeignLoss, Loss
from dmlbench.plugins.entries import build_object, entry


def build_loss(spec: dict, num_classes: int, embedding_dim: int) -> Loss:
    """The loss of a resolved config entry; a ConfigError where it cannot be built."""
    options = {key: value for key, value in spec.items() if key not in ("name", "loss_lr")}
    sizes = {"num_classes": num_classes, "embedding_dim": embedding_dim}
    loss = build_object("loss", options, **sizes)
    if entry("loss", spec["type"]).foreign:
        return ForeignLoss(loss, spec.get("loss_lr"), **sizes)
    return loss


class Nested(Loss):
    """Base of losses made of others: what these want is asked for, and their rates are kept.

    ``losses`` are the inner ones.
    """

    def __init__(self, losses: Iterable[Loss], **sizes: int) -> None:
        super().__init__(**sizes)
        self.losses = nn.ModuleList(losses)
        self.wants_class_means = any(loss.wants_class_means for loss in self.losses)
        self.wants_features = any(loss.wants_features for loss in self.losses)

    def start(self, class_means: torch.Tensor) -> None:
        """Start the inner losses that want to."""
        for loss in self.losses:
            if loss.wants_class_means:
                loss.start(class_means)

    def take_features(self, count: int) -> None:
        """Tell the inner losses that want to know."""
        for loss in self.losses:
            if loss.wants_features:
                loss.take_features(count)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Those of the inner losses, each at its own rate."""
        return [group for loss in self.losses for group in loss.parameter_groups()]
