"""What timm knows of a backbone and its weights by name: tags, data, the images they want."""

import math
import os
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dmlbench.errors import ConfigError
from dmlbench.files import WEIGHT_FILES, local_path

#: The data that a part of a tag stands for. ImageNet-21k is also called 22k, after its folders.
_DATA = {
    "in1k": "imagenet1k", "in12k": "imagenet12k", "in21k": "imagenet21k", "in22k": "imagenet21k",
    "inw21k": "imagenet21k", "jft": "jft300m", "ig1b": "ig1b", "yfcc15m": "yfcc15m",
    "yfcc100m": "yfcc100m", "cc12m": "cc12m", "openai": "wit", "laion2b": "laion2b",
    "laion400m": "laion400m", "laiona": "laiona", "datacomp1b": "datacomp1b",
    "datacompxl": "datacomp1b", "dfn2b": "dfn2b", "dfn5b": "dfn5b", "dfndr2b": "dfndr2b",
    "merged2b": "merged2b", "m30m": "merged30m", "m38m": "merged38m", "webli": "webli",
    "lvd142m": "lvd142m", "lvd1689m": "lvd1689m", "sat493m": "sat493m", "sa1b": "sa1b",
}  # fmt: skip
#: Tags that name a method, whose paper trains on ImageNet-1k (without labels).
_BY_METHOD = dict.fromkeys(("dino", "fb_dino", "mae", "fcmae"), "imagenet1k")
#: Parts of tags that stand for further data, which the tag does not name.
_MORE = {"clip", "ssld", "swag", "seer", "indomain"}


class Weights(NamedTuple):
    """Where weights come from: a file, or else the hub by timm's tag; both of a file named so."""

    tag: str  # empty where it is not known
    file: str = ""

    @property
    def name(self) -> str:
        """What a recipe calls them."""
        return self.file or self.tag


class ImageConfig(NamedTuple):
    """The images that weights were trained on, as timm says."""

    mean: tuple[float, ...]  #: of pixels from 0 to 1
    std: tuple[float, ...]
    size: int  #: pixels a side
    interpolation: str
    crop_pct: float  #: the side of the centre crop over the short side before it
    squash: bool  #: whether images are made square before the crop, whatever their shape

    def before_crop(self, size: int) -> int | list[int]:
        """What ``Resize`` takes before a centre crop to ``size``; rounded down as timm does."""
        side = math.floor(size / self.crop_pct)
        return [side, side] if self.squash else side


def check_name(backbone: str) -> None:
    """A ConfigError where timm has no model of this name, or it is an old name."""
    import timm  # takes seconds
    from timm.models import get_deprecated_models

    name, _, tag = backbone.partition(".")
    if tag and timm.is_model(name):
        raise ConfigError(f"is a name with its tag; write backbone: {name} and weights: {tag}")
    if backbone in (old := get_deprecated_models()):
        raise ConfigError(f"is an old name of timm's; take {old[backbone] or 'another model'}")
    if not timm.is_model(backbone):
        near = get_close_matches(backbone, ["small_cnn", *timm.list_models()], n=3, cutoff=0.5)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise ConfigError(f"neither small_cnn nor a model of timm (got '{backbone}'){hint}")


def usual_size(backbone: str) -> int:
    """Pixels a side of the images that a model is for."""
    import timm

    return timm.get_pretrained_cfg(backbone).input_size[-1]


@cache
def tags(backbone: str) -> list[str]:
    """The tags of all weights that timm has for a model."""
    import timm

    known = timm.list_models(backbone, pretrained=True)
    return [tag for _, _, tag in (name.partition(".") for name in known) if tag]


def find_weights(backbone: str, weights: str) -> Weights | None:
    """The weights that a recipe names; None for none.

    ``weights`` is none, a tag, a file, or a folder (a path with a slash in it) of files that are
    named like timm's model with its tag: ``resnet50.tv_in1k.safetensors``.

    Raises:
        ConfigError: There is no such tag, file or folder; or the folder holds none or several.
    """
    if weights == "none":
        return None
    if weights.startswith("~"):  # others stay as they are written: runs are known by that
        weights = str(local_path(weights))
    if weights.endswith(WEIGHT_FILES):
        if not Path(weights).is_file():
            if Path(weights).is_dir():
                raise ConfigError(f"{weights} is a folder; name a file in it")
            raise ConfigError(f"no file {weights}")
        return Weights(_tag_of_file(backbone, Path(weights)), weights)
    if os.sep in weights:
        return _in_folder(backbone, Path(weights))
    if weights not in tags(backbone):
        known = ", ".join(tags(backbone)) or "none"
        hint = f"; for the folder of this name write ./{weights}" if Path(weights).is_dir() else ""
        raise ConfigError(f"timm has no weights '{weights}' of {backbone}; its tags: {known}{hint}")
    return Weights(weights)


def _tag_of_file(backbone: str, file: Path) -> str:
    tag = file.stem.removeprefix(f"{backbone}.")
    return tag if tag != file.stem and tag in tags(backbone) else ""


def _in_folder(backbone: str, folder: Path) -> Weights:
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}")
    files = [f for f in sorted(folder.iterdir()) if f.suffix in WEIGHT_FILES]
    found = [Weights(tag, str(f)) for f in files if (tag := _tag_of_file(backbone, f))]
    if not found:
        raise ConfigError(
            f"{folder} holds no {backbone}.TAG.safetensors with one of timm's tags "
            f"({', '.join(tags(backbone))})"
        )
    if len(found) > 1:
        several = " or ".join(weights.file for weights in found)
        raise ConfigError(f"{folder} holds several of {backbone}; name one: {several}")
    return found[0]


def pretraining_of(tag: str) -> str | None:
    """The data that the weights of a tag were trained on, in order: ``laion2b_imagenet1k``.

    None where the tag does not tell. What teachers of a distillation saw is not counted.
    """
    if tag in _BY_METHOD:
        return _BY_METHOD[tag]
    parts = tag.split("_")
    data = list(dict.fromkeys(_DATA[part] for part in parts if part in _DATA))
    only_imagenet = all(name.startswith("imagenet") for name in data)
    if not data or (only_imagenet and _MORE.intersection(parts)):
        return None
    return "_".join(data)


def check_pretraining(said: str | None) -> None:
    """A ConfigError where data has another name here, by which tables know it, or this is no name.

    Such as imagenet1k, which is not more than ImageNet-1k, for "ImageNet-1k" or in1k. None, where
    nothing is said, is right.
    """
    if said is None:
        return
    letters = re.sub(r"[^a-z0-9]", "", said.lower())
    names = _DATA | {name: name for name in _DATA.values()} | {"imagenet": "imagenet1k"}
    if names.get(letters, said) != said:
        raise ConfigError(f"these data are called {names[letters]} here (got '{said}')")
    if not re.fullmatch(r"[a-z0-9_]+", said):
        raise ConfigError(f"should be of small letters, digits and _ (got '{said}')")


def image_config(backbone: str, weights: str) -> ImageConfig:
    """timm's data config of weights; for a file without a tag, that of timm's default weights.

    A ConfigError where timm has none.
    """
    import timm
    from timm.data import resolve_data_config

    is_file = weights.endswith(WEIGHT_FILES)
    tag = _tag_of_file(backbone, Path(weights)) if is_file else weights
    name = f"{backbone}.{tag}" if tag else backbone
    try:
        known = timm.get_pretrained_cfg(name)
    except RuntimeError:  # no such tag
        known = None
    if known is None:
        told = f"timm knows no mean and deviation of {name}; take mean_std: imagenet or none"
        raise ConfigError(told)
    said = resolve_data_config(pretrained_cfg=known.to_dict())
    if said["crop_mode"] not in ("center", "squash"):
        raise ConfigError(
            f"timm pads the images for {name}, which no crop here does; take mean_std: imagenet "
            "or none, with transforms of your own"
        )
    how = said["interpolation"], said["crop_pct"], said["crop_mode"] == "squash"
    return ImageConfig(said["mean"], said["std"], said["input_size"][-1], *how)
