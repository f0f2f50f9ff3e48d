"""Building a network of timm for images of a size, and what its architecture allows."""

from functools import cache
from typing import TYPE_CHECKING, Any

from dmlbench.errors import ConfigError
from dmlbench.plugins.timm_names import usual_size

if TYPE_CHECKING:
    from torch import nn

#: Ways to pool that need only a map or tokens, and those that need a class token.
_OF_ALL, _OF_CLASS_TOKEN = ("avg", "max", "avg_max", "gem"), ("cls", "cls_avg")


def create(
    name: str, channels: int, size: int | None, num_classes: int = 0, **options: Any
) -> "nn.Module":
    """A model of timm for images of ``channels`` x ``size`` x ``size``, without its classifier.

    ``size`` None takes timm's own; ``options`` go to ``timm.create_model``, which may raise.

    Raises:
        ConfigError: Its patches do not divide the size.
    """
    import timm

    known = timm.get_pretrained_cfg(name)
    if size and known and known.fixed_input_size:  # timm's sign of a model that takes img_size
        options["img_size"] = size
    model = timm.create_model(name, num_classes=num_classes, in_chans=channels, **options)
    if size:
        _check_patches(model, name, size)
    return model


def _check_patches(model: "nn.Module", name: str, size: int) -> None:
    """timm would leave the last pixels out without a word."""
    from timm.layers import PatchEmbed

    for module in model.modules():
        if isinstance(module, PatchEmbed) and not module.dynamic_img_pad:
            patch = max(module.patch_size)
            if size % patch:
                less = size // patch * patch
                near = [str(s) for s in (less, less + patch) if s]
                raise ConfigError(
                    f"{name} cuts images into patches of {patch} pixels, which do not divide "
                    f"{size}; take {' or '.join(near)}"
                )


def map_pooling(model: "nn.Module") -> "nn.Module | None":
    """The part of a model whose ``global_pool`` pools its feature map; None where none does."""
    from timm.layers import SelectAdaptivePool2d

    for part in (model, getattr(model, "head", None)):
        if isinstance(getattr(part, "global_pool", None), SelectAdaptivePool2d):
            return part
    return None


def poolings(model: "nn.Module") -> tuple[str, ...]:
    """The ways to pool, besides timm's own, that the architecture of a model allows."""
    if map_pooling(model):
        return _OF_ALL
    is_map = getattr(model, "output_fmt", "NLC") != "NLC"  # pooled in code, with a norm behind it
    if is_map or getattr(model, "num_prefix_tokens", None) is None:
        return ()
    has_class = getattr(model, "cls_token", None) is not None
    return _OF_ALL + (_OF_CLASS_TOKEN if has_class else ())


def outline(name: str, size: int | None = None, num_classes: int = 0) -> "nn.Module":
    """A model for colour images, in evaluation mode, without memory for its weights.

    Raises as :func:`create`.
    """
    import torch

    # The device meta has no numbers; each of timm's families of models can be built and run on it.
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return create(name, 3, size, num_classes).eval()


@cache
def inspect_network(name: str, size: int | None) -> dict[str, int]:
    """How many features a model has of an image, by each way to pool that it allows.

    It is built without memory for its weights, and run on one colour image of ``size`` pixels a
    side; None: of the size that it is for.

    Raises:
        ConfigError: It does not take such images.
    """
    import torch

    side = size or usual_size(name)
    try:
        model = outline(name, size)
        with torch.no_grad(), torch.device("meta"):
            images = torch.zeros(1, 3, side, side)
            features, middle = model(images), model.forward_features(images)
    except ConfigError:
        raise
    except Exception as error:  # a model may refuse a size with any of them
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(
            f"{name} cannot take images of {side} x {side} pixels ({reason})"
        ) from None
    if not isinstance(features, torch.Tensor) or features.dim() != 2:
        raise ConfigError(f"{name} does not make one vector of an image; take another backbone")
    found = {"default": features.shape[1]}
    if map_pooling(model):
        found |= dict.fromkeys(poolings(model), features.shape[1])
    elif isinstance(middle, torch.Tensor) and middle.dim() == 3:
        width = middle.shape[2]
        found |= {way: width * (2 if way == "cls_avg" else 1) for way in poolings(model)}
    return found
