"""Backbones: the small network, or any of timm's with weights, at the size of the images."""

import torch
from torch import nn

from dmlbench.errors import ConfigError
from dmlbench.models.pooling import set_pooling
from dmlbench.models.small_cnn import SmallCNN
from dmlbench.models.weight_files import build_from_file
from dmlbench.plugins.timm_names import check_name, find_weights
from dmlbench.plugins.timm_networks import create


def build_backbone(recipe: dict, channels: int, image_size: int) -> nn.Module:
    """The backbone of a resolved recipe for images of ``channels`` x ``image_size`` squared.

    Raises:
        ConfigError: It or its weights cannot be had, or it takes no images of this size.
    """
    if recipe["backbone"] == "small_cnn":
        return SmallCNN(channels, image_size, recipe["widths"], recipe["hidden"])
    model = _timm_model(recipe["backbone"], recipe["weights"], channels, image_size)
    set_pooling(model, recipe["backbone"], recipe["pooling"])
    return model


@torch.no_grad()
def feature_count(backbone: nn.Module, channels: int, image_size: int) -> int:
    """How many features a backbone makes of an image.

    Raises:
        ConfigError: It takes no images of this size.
    """
    if isinstance(backbone, SmallCNN):
        return backbone.num_features
    # Measured: what timm states differs between architectures. No random number is drawn.
    was_training = backbone.training
    backbone.eval()
    try:
        features = backbone(torch.zeros(1, channels, image_size, image_size))
    except Exception as error:  # a model may refuse a size with any of them
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"the backbone cannot take images of {image_size} x {image_size} pixels ({reason}); "
            "give the recipe another image_size"
        ) from None
    backbone.train(was_training)
    return features.shape[1]


def _timm_model(name: str, weights: str, channels: int, size: int) -> nn.Module:
    try:
        check_name(name)
    except ConfigError as error:
        raise ConfigError(f"backbone: {error}") from None
    try:
        found = find_weights(name, weights)
    except ConfigError as error:
        raise ConfigError(f"weights: {error}") from None
    if found is None:
        return create(name, channels, size)
    if found.file:
        return _all_numbers(build_from_file(name, found, channels, size), weights)
    # Files of the hub are timm's own, made for this model: what some lack, timm knows.
    try:
        return _all_numbers(create(f"{name}.{found.tag}", channels, size, pretrained=True), weights)
    except ConfigError:
        raise
    except Exception as error:  # whatever timm and what reads or fetches files for it raise
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"weights '{weights}' of {name} cannot be had ({reason}); fetch them once on a machine "
            "with network (timm keeps them in its cache), name a file of them (.safetensors, or "
            ".pth with nothing but tensors), or train from scratch with weights: none"
        ) from None


def _all_numbers(model: nn.Module, weights: str) -> nn.Module:
    """The model; a ConfigError where a weight of it is NaN or infinite."""
    wrong = [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]
    if wrong:
        raise ConfigError(
            f"weights '{weights}' hold NaN or infinity in {len(wrong)} tensors, such as "
            f"{wrong[0]}; get or save them again"
        )
    return model
