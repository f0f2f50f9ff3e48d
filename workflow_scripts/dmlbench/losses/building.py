"""Losses of resolved config entries."""

from dmlbench.losses.base import Loss
from dmlbench.losses.foreign import ForeignLoss
from dmlbench.plugins.entries import entry
from dmlbench.plugins.objects import build_object


def build_loss(spec: dict, num_classes: int, embedding_dim: int) -> Loss:
    """The loss of a resolved config entry.

    Raises:
        ConfigError: A class path cannot be imported or its class refuses its arguments.
    """
    options = {key: value for key, value in spec.items() if key not in ("name", "loss_lr")}
    sizes = {"num_classes": num_classes, "embedding_dim": embedding_dim}
    loss = build_object("loss", options, **sizes)
    if not entry("loss", spec["type"]).foreign:
        return loss
    return ForeignLoss(loss, spec.get("loss_lr"), **sizes)
