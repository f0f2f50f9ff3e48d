"""The optimiser of a recipe: who learns at which rate."""

from typing import Any

import torch
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.losses.base import Loss
from dmlbench.plugins.optimizers import optimizer_entry, optimizer_options
from dmlbench.training.freezing import BACKBONE


def build_optimizer(spec: dict[str, Any], model: nn.Module, loss: Loss) -> torch.optim.Optimizer:
    """The optimiser of all that learns; loss parameters at their own rate where they have one.

    ``spec`` is a recipe's ``optimizer``. Every parameter that learns is in exactly one group, whose
    ``part`` is network, backbone, head or loss.

    Raises:
        ConfigError: It cannot be built, or timm cannot group the backbone for ``layer_decay``.
    """
    groups = network_groups(spec, model)
    groups += [{"part": "loss", **group} for group in loss.parameter_groups()]
    given = {id(p) for group in groups for p in group["params"]}
    assert all(id(p) in given for p in loss.parameters()), "a loss parameter would never move"
    try:
        return optimizer_entry(spec["name"]).build(groups, optimizer_options(spec))
    except ConfigError as error:
        raise ConfigError(f"optimizer: {error}") from error


def network_rate(optimizer: torch.optim.Optimizer) -> float:
    """The learning rate of the network: of its backbone, and there of its last layer."""
    rates: dict[str, float] = {}
    for group in optimizer.param_groups:
        rates[group["part"]] = max(group["lr"], rates.get(group["part"], 0.0))
    return next(rates[part] for part in ("network", "backbone", "head") if part in rates)


def network_groups(spec: dict[str, Any], model: nn.Module) -> list[dict[str, Any]]:
    """The groups of a network's parameters that learn, with rates of their own where they have any.

    A ConfigError says that timm cannot group the backbone for ``layer_decay``.
    """
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    head_lr, layer_decay = spec.get("head_lr"), spec.get("layer_decay")
    if head_lr is None and layer_decay is None:
        return [{"part": "network", "params": list(learning.values())}]
    groups = _layers(spec, model.get_submodule(BACKBONE.rstrip("."))) if layer_decay else []
    grouped = {id(p) for group in groups for p in group["params"]}
    rest = {name: p for name, p in learning.items() if id(p) not in grouped}
    backbone = [p for name, p in rest.items() if name.startswith(BACKBONE)]
    head = [p for name, p in rest.items() if not name.startswith(BACKBONE)]
    groups.append({"part": "backbone", "params": backbone})
    groups.append({"part": "head", "params": head, "lr": head_lr or spec["lr"]})
    return [group for group in groups if group["params"]]


def _layers(spec: dict[str, Any], backbone: nn.Module) -> list[dict[str, Any]]:
    """timm's groups of the layers that it knows; vectors such as biases have no weight decay."""
    from timm.optim import param_groups_layer_decay  # seconds to import

    network = next((m for m in backbone.modules() if hasattr(m, "group_matcher")), None)
    if network is None:
        raise ConfigError("optimizer.layer_decay: timm does not group this backbone in layers")
    without = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    groups = param_groups_layer_decay(
        network,
        weight_decay=spec["weight_decay"],
        no_weight_decay_list=without,
        layer_decay=spec["layer_decay"],
    )
    return [
        {"part": "backbone", "lr": spec["lr"] * group.pop("lr_scale"), **group} for group in groups
    ]
