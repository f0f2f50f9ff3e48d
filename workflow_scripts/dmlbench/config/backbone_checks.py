"""What cannot be of a recipe's backbone, by what timm says of it.

Only the process that plans looks: importing timm takes seconds. Jobs read what was found.
"""

from collections.abc import Iterator

from dmlbench.config.recipe import Recipe
from dmlbench.errors import ConfigError
from dmlbench.files import WEIGHT_FILES, local_path
from dmlbench.plugins.timm_names import (
    Weights,
    check_name,
    check_pretraining,
    find_weights,
    image_config,
    pretraining_of,
)
from dmlbench.plugins.timm_networks import inspect_network

#: What a recipe says of a timm backbone only, and the value that says nothing.
_TIMM_ONLY = {"weights": "none", "pretraining": None, "pooling": "default"}
_SMALL_ONLY = ("hidden", "widths")


def backbone_problems(recipe: Recipe, where: str) -> Iterator[str]:
    """Keys of a recipe that its backbone does not have or cannot do."""
    small = recipe.backbone == "small_cnn"
    given = {k: v for k, v in _TIMM_ONLY.items() if getattr(recipe, k) != v}
    if small:
        for key in given:
            what = "pretrained weights" if key == "weights" else key
            value = getattr(recipe, key)
            yield f"{where}.{key}: small_cnn has no {what} (got '{value}'); leave it out"
        return
    for key in _SMALL_ONLY:
        if getattr(recipe, key) != Recipe.model_fields[key].default:
            yield f"{where}.{key}: only small_cnn has it, the backbone is '{recipe.backbone}'"
    try:
        check_name(recipe.backbone)
    except ConfigError as error:
        yield f"{where}.backbone: {error}"
        file = local_path(recipe.weights)
        if recipe.weights.endswith(WEIGHT_FILES) and not file.is_file():
            yield f"{where}.weights: no file {file}"
        return
    weights, size = None, recipe.image_size
    try:
        weights = find_weights(recipe.backbone, recipe.weights)
    except ConfigError as error:
        yield f"{where}.weights: {error}"
    else:
        yield from _pretraining_problems(recipe, weights, where)
    if weights and recipe.mean_std == "weights":
        try:
            said = image_config(recipe.backbone, weights.name)
            size = size or (said.size if recipe.eval_transforms is None else None)
        except ConfigError as error:
            yield f"{where}.mean_std: {error}"
    yield from _network_problems(recipe, size, where)


def _pretraining_problems(recipe: Recipe, weights: Weights | None, where: str) -> Iterator[str]:
    said = recipe.pretraining
    if weights is None:
        if said:
            yield f"{where}.pretraining: there is none with weights: none; leave it out"
        return
    known = pretraining_of(weights.tag)
    try:
        check_pretraining(said)
    except ConfigError as error:
        yield f"{where}.pretraining: {error}"
        return
    if not (known or said):
        yield (
            f"{where}.pretraining: timm does not say what the weights {weights.name} were trained "
            "on; say it, such as pretraining: imagenet1k"
        )
    elif known and said not in (None, known):
        yield f"{where}.pretraining: timm says {known} of these weights (got '{said}')"


def _network_problems(recipe: Recipe, size: int | None, where: str) -> Iterator[str]:
    try:
        features = inspect_network(recipe.backbone, size)
    except ConfigError as error:
        yield f"{where}.image_size: {error}"
        return
    if recipe.pooling not in features:
        yield f"{where}.pooling: {_why_not(recipe, list(features))}"
    elif recipe.head.type == "none" and features[recipe.pooling] != recipe.embedding_dim:
        many = features[recipe.pooling]
        yield (
            f"{where}.embedding_dim: without a head the embedding is the {many} features of "
            f"{recipe.backbone}; take embedding_dim: {many} (got {recipe.embedding_dim}), or a head"
        )


def _why_not(recipe: Recipe, allowed: list[str]) -> str:
    name, others = recipe.backbone, ", ".join(allowed[1:])
    if not others:
        return f"{name} pools in a way of its own, which cannot be changed; leave it out"
    return f"{name} has no class token (got '{recipe.pooling}'); it can be pooled by {others}"


def reduction_problems(recipe: dict, where: str) -> Iterator[str]:
    """Why the features of a resolved recipe cannot be reduced to its embedding dimension.

    Those of small_cnn are counted when it is built: its input size is the data's.
    """
    if recipe["backbone"] == "small_cnn":
        return
    features = inspect_network(recipe["backbone"], recipe["image_size"])[recipe["pooling"]]
    if features < recipe["embedding_dim"]:
        yield (
            f"{where} has {features} features, fewer than embedding_dim {recipe['embedding_dim']}; "
            "leave pca out"
        )


def found_weights(recipe: Recipe) -> dict[str, str | None]:
    """The keys ``weights`` and ``pretraining`` of a recipe without problems, as timm fills them in.

    A folder becomes the file in it.
    """
    weights = None
    if recipe.backbone != "small_cnn":
        weights = find_weights(recipe.backbone, recipe.weights)
    if weights is None:
        return {"weights": "none", "pretraining": None}
    data = pretraining_of(weights.tag) or recipe.pretraining
    return {"weights": weights.name, "pretraining": data}
