"""The optimiser of a recipe, with the loss's own parameters in it."""

import torch

from dmlbench.losses.base import Loss


def build_optimizer(spec: dict, model: torch.nn.Module, loss: Loss) -> torch.optim.Optimizer:
    """Network parameters at the recipe's rate, loss parameters at their own where they have one.

    Raises:
        AssertionError: A loss left one of its parameters out.
    """
    groups = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    groups += loss.parameter_groups()
    given = {id(p) for group in groups for p in group["params"]}
    assert all(id(p) in given for p in loss.parameters()), "a loss parameter would never move"
    common = {"lr": spec["lr"], "weight_decay": spec["weight_decay"]}
    if spec["name"] == "sgd":
        return torch.optim.SGD(groups, momentum=spec["momentum"], **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[spec["name"]](groups, **common)
