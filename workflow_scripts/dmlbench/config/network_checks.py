"""What a training refuses of a recipe's network, told when the config is read."""

from collections.abc import Iterator
from importlib import import_module

from dmlbench.config.recipe import Recipe
from dmlbench.plugins.timm_names import usual_size


def freezing_problems(recipe: Recipe, where: str) -> Iterator[str]:
    """Frozen parts that the network does not have; chunks, or one image, for live batch norm;
    dropout in chunks; layers that cannot be told apart, or that learn too slowly for the schedule.

    The recipe must be right in all else. No network is built where none of these is asked for.
    """
    small, layers = recipe.backbone == "small_cnn", recipe.optimizer.layer_decay
    frozen = recipe.freeze not in ("none", "backbone")
    if small and recipe.head.type == "none":
        return  # how many features it has depends on the images
    if frozen or recipe.chunk or (not small and (layers or recipe.batch_size == 1)):
        side = recipe.image_size or (1 if small else usual_size(recipe.backbone))
        # The rules are those of a room above, so they are looked up by name, as losses are. Handing
        # them in would have every caller that reads a config import PyTorch.
        rehearse = import_module("dmlbench.training.rehearsal").rehearse
        yield from (f"{where}.{line}" for line in rehearse(recipe.model_dump(mode="json"), side))
