"""Losses of resolved config entries."""

from dmlbench.losses.base import Loss, get_loss, make_loss
from dmlbench.losses.foreign import ForeignLoss
from dmlbench.plugins.objects import build_object


def build_loss(spec: dict, num_classes: int, embedding_dim: int) -> Loss:
    """The loss of a resolved config entry.

    Raises:
        ConfigError: A class path cannot be imported or its class refuses its arguments.
    """
    cls = get_loss(spec["type"])
    if issubclass(cls, Loss):
        options = {k: v for k, v in spec.items() if k not in ("name", "type")}
        sizes = {"num_classes": num_classes, "embedding_dim": embedding_dim}
        return make_loss(spec["type"], **sizes, **options)
    module = build_object(
        {k: v for k, v in spec.items() if k not in ("name", "loss_lr")},
        num_classes=num_classes,
        embedding_size=embedding_dim,
        embedding_dim=embedding_dim,
    )
    return ForeignLoss(
        module, spec.get("loss_lr"), num_classes=num_classes, embedding_dim=embedding_dim
    )
