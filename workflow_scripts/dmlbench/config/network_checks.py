"""What a training refuses of a recipe's network, told when the config is read."""

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from dmlbench.config.recipe import Recipe
from dmlbench.errors import ConfigError
from dmlbench.plugins.timm_names import usual_size

if TYPE_CHECKING:
    from torch import nn


def freezing_problems(recipe: Recipe, where: str) -> Iterator[str]:
    """Frozen parts that the network does not have; chunks, or one image, for live batch norm.

    The recipe must be right in all else. The network is built without memory for its weights, for
    colour images: no name in it depends on the images.
    """
    small = recipe.backbone == "small_cnn"
    if recipe.freeze in ("none", "backbone") and not recipe.chunk and recipe.batch_size > 1:
        return
    if small and recipe.head.type == "none":
        return  # how many features it has depends on the images
    import torch

    side = recipe.image_size or (1 if small else usual_size(recipe.backbone))
    # The rules are those of the rooms above, so they are looked up by name, as losses are.
    models, training = "dmlbench.models", "dmlbench.training"
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            resolved = recipe.model_dump(mode="json") | {"weights": "none"}
            model = import_module(f"{models}.embedder").Embedder(resolved, 3, side)
        freezing = import_module(f"{training}.freezing").Freezing
        freezing(model, recipe.freeze, recipe.warmup_head_epochs).train(recipe.epochs)
        if recipe.chunk:
            import_module(f"{training}.network").check_batch_norm(model)
        if recipe.batch_size == 1 and not small:
            _pass_one_image(model, side)
    except ConfigError as error:
        yield f"{where}.{error}"


def _pass_one_image(model: "nn.Module", side: int) -> None:
    """A ConfigError where a network in training mode refuses a batch of one image.

    Batch norm does, of a map of one pixel: no variance is known.
    """
    import torch

    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.device("meta"):
            model(torch.zeros(1, 3, side, side))
    except ValueError as error:
        raise ConfigError(
            f"batch_size: the network cannot train on one image at a time ({error}); take 2 or "
            "more, or freeze: batch_norm"
        ) from None
