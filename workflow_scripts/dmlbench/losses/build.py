"""Losses of resolved config entries: ours, a library's, or the user's own."""

import torch
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.losses.base import Loss, LossResult
from dmlbench.plugins.entries import build_object, entry
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.tuples import Tuples


def build_loss(spec: dict, num_classes: int, embedding_dim: int) -> Loss:
    """The loss of a resolved config entry; a ConfigError where it cannot be built."""
    options = {key: value for key, value in spec.items() if key not in ("name", "loss_lr")}
    sizes = {"num_classes": num_classes, "embedding_dim": embedding_dim}
    loss = build_object("loss", options, **sizes)
    if entry("loss", spec["type"]).foreign:
        return ForeignLoss(loss, spec.get("loss_lr"), **sizes)
    return loss


class ForeignLoss(Loss):
    """Calls ``module(embeddings, labels)``, with the indices of tuples where a sampler chose some.

    Most of pytorch-metric-learning's losses normalise embeddings themselves. Without a sampler
    they form all pairs of the batch, copies of an image among the positives.
    """

    def __init__(self, module: nn.Module, lr: float | None, **sizes: int) -> None:
        """Parameters of ``module`` move at ``lr``, or at the recipe's rate if None."""
        super().__init__(**sizes)
        self.module = module
        self.lr = lr
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

    def parameter_groups(self) -> list[dict]:
        """One group; a rate of their own frees them from weight decay too."""
        rate = {} if self.lr is None else {"lr": self.lr, "weight_decay": 0.0}
        return [group | rate for group in super().parameter_groups()]


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
