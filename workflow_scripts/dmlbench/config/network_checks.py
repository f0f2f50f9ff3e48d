"""What a training refuses of a recipe's network, told when the config is read."""

from collections.abc import Iterator
from importlib import import_module

from dmlbench.config.recipe import Recipe
from dmlbench.errors import ConfigError
from dmlbench.plugins.timm_names import usual_size


def freezing_problems(recipe: Recipe, where: str) -> Iterator[str]:
    """Frozen parts that the network does not have, and chunks that live batch norm would see.

    The recipe must be right in all else. The network is built without memory for its weights, for
    colour images: no name in it depends on the images.
    """
    small = recipe.backbone == "small_cnn"
    if recipe.freeze in ("none", "backbone") and not recipe.chunk:
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
    except ConfigError as error:
        yield f"{where}.{error}"
