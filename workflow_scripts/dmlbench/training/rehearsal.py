"""What a training refuses of a recipe's network, found without weights and without images."""

from collections.abc import Iterator

import torch
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.models.embedder import Embedder
from dmlbench.training.freezing import Freezing
from dmlbench.training.network import check_batch_norm, check_dropout
from dmlbench.training.optimization import network_groups
from dmlbench.training.schedule import check_lowest


def rehearse(recipe: dict, side: int) -> Iterator[str]:
    """A line for each thing that a training with ``recipe`` would refuse of its network.

    The network is built on the device meta, which has no memory for weights, for colour images of
    ``side`` x ``side`` pixels: no name in it depends on the images.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = Embedder(recipe | {"weights": "none"}, 3, side)
        freezing = Freezing(model, recipe["freeze"], recipe["warmup_head_epochs"])
        freezing.train(recipe["epochs"])
    except ConfigError as error:
        yield str(error)
        return
    checks = [check_batch_norm, check_dropout] if recipe["chunk"] else []
    for check in checks:
        try:
            check(model)
        except ConfigError as error:
            yield str(error)
    optimizer = recipe["optimizer"]
    try:
        rates = [group.get("lr", optimizer["lr"]) for group in network_groups(optimizer, model)]
        check_lowest(recipe["schedule"], min(rates))
    except ConfigError as error:
        yield str(error)
    if recipe["batch_size"] == 1:
        yield from _one_image(model, side)


def _one_image(model: nn.Module, side: int) -> Iterator[str]:
    """Why a network in training mode refuses a batch of one image.

    Batch norm does, of a map of one pixel: no variance is known.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.device("meta"):
            model(torch.zeros(1, 3, side, side))
    except ValueError as error:
        yield (
            f"batch_size: the network cannot train on one image at a time ({error}); take 2 or "
            "more, or freeze: batch_norm"
        )
