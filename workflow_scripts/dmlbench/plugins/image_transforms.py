"""Transforms of images by name: those of ``torchvision.transforms.v2``."""

import inspect
import warnings
from enum import Enum
from typing import Any

from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import nearest

#: Parts of names that stand for other things than one image without boxes.
_OTHERS = (
    "MixUp", "CutMix", "FiveCrop", "TenCrop", "Lambda", "Linear", "Box", "KeyPoint", "IoU",
    "ClampingMode", "Temporal", "PIL",
)  # fmt: skip

#: Pixels a side of the images that transforms are tried on, and how often, as some have a random
#: part; a crop may need the larger one.
_TRIED = {256: 8, 1024: 1}
_LARGEST = 16  #: of pixels from 0 to 1 with any mean and deviation taken out

#: ``RandomHorizontalFlip``, or ``{RandomResizedCrop: {size: 224}}``.
TransformEntry = str | dict[str, dict[str, Any] | None]


def try_transforms(entries: list[TransformEntry], may_be_random: bool) -> None:
    """Do ``entries`` to images of noise a few times, as constructors let much pass.

    Raises:
        ConfigError: They cannot be done or give no image, or they are random and may not be.
    """
    import torch

    transform = build_transforms(entries)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for side, times in _TRIED.items():
            image = torch.randint(256, (3, side, side), dtype=torch.uint8)
            before = torch.get_rng_state()
            try:
                made = [transform(image) for _ in range(times)][-1]
                break
            except Exception as error:  # a transform may fail with any of them
                reason = str(error).partition("\n")[0]
        else:
            raise ConfigError(f"cannot be done to an image ({reason})")
        # RandomInvert with p: 1 draws random numbers, but always inverts.
        again = 0 if may_be_random or torch.equal(before, torch.get_rng_state()) else 64
        if any(not torch.equal(transform(image), made) for _ in range(again)):
            raise ConfigError("are random, so that no two evaluations would agree")
    if made.dim() != 3 or not (made.dtype == torch.uint8 or made.is_floating_point()):
        raise ConfigError(f"give {made.dtype}, not an image of bytes or floating-point numbers")
    if made.is_floating_point() and made.abs().max() > _LARGEST:
        raise ConfigError("give numbers up to 255 that are no bytes; ToDtype needs scale: true")


def build_transforms(entries: list[TransformEntry]) -> Any:
    """One transform that does all of ``entries`` in their order, from an image to an image.

    ``RandomApply``, ``RandomChoice`` and ``RandomOrder`` take such a list as ``transforms``.

    Raises:
        ConfigError: There is no such transform, or it refuses its arguments.
    """
    if not entries:
        return lambda image: image
    from torchvision.transforms import v2  # takes two seconds

    known = {
        name: cls
        for name, cls in vars(v2).items()
        if inspect.isclass(cls) and issubclass(cls, v2.Transform) and cls is not v2.Transform
        if not any(word in name for word in _OTHERS)
    }
    known["RandomResizedCrop"] = _faster(v2.RandomResizedCrop)
    return v2.Compose([_build(entry, known) for entry in entries])


def output_side(entries: list[TransformEntry]) -> int | None:
    """Pixels a side of what ``entries`` make of an image; None where that follows its size."""
    import torch

    transform = build_transforms(entries)
    images = (torch.zeros(3, side, side, dtype=torch.uint8) for side in (1000, 1024))
    sides = {transform(image).shape[-1] for image in images}
    return sides.pop() if len(sides) == 1 else None


def _faster(random_resized_crop: type) -> type:
    """The same transform; 8-bit crops get channels last in memory, which are resized faster."""
    import torch
    from torchvision.transforms.v2 import functional

    class RandomResizedCrop(random_resized_crop):
        __signature__ = inspect.signature(random_resized_crop)

        def transform(self, image: torch.Tensor, params: dict[str, Any]) -> torch.Tensor:
            if image.dtype != torch.uint8:
                return super().transform(image, params)
            box = (params[name] for name in ("top", "left", "height", "width"))
            crop = functional.crop(image, *box)[None].contiguous(memory_format=torch.channels_last)
            options = {"interpolation": self.interpolation, "antialias": self.antialias}
            return functional.resize(crop, self.size, **options)[0]

    return RandomResizedCrop


def _build(entry: TransformEntry, known: dict[str, type]) -> Any:
    if not isinstance(entry, str | dict) or (isinstance(entry, dict) and len(entry) != 1):
        raise ConfigError(f"each entry is one transform, such as RandomHorizontalFlip, not {entry}")
    name, options = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
    options = options or {}
    if name not in known:
        near = nearest(name, list(known))
        raise ConfigError(f"no transform '{name}' in torchvision.transforms.v2{near}")
    where = f"transform {name}:"
    parameters = inspect.signature(known[name]).parameters
    if unknown := [key for key in options if key not in parameters]:
        near = nearest(unknown[0], list(parameters))
        raise ConfigError(f"{where} unknown argument '{unknown[0]}'{near}")
    if "inplace" in options:
        raise ConfigError(f"{where} inplace would change the images of the store; leave it out")
    try:
        values = {key: _value(parameters[key], options[key], known) for key in options}
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as scales in the wrong order
            return known[name](**values)
    except ConfigError:
        raise
    except Exception as error:  # a constructor may refuse its arguments with any of them
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{where} {reason.removeprefix(f'{name}.__init__() ')}") from None


def _value(parameter: inspect.Parameter, given: Any, known: dict[str, type]) -> Any:
    """What an argument's value in a config stands for: an object, an enum's member, a type."""
    import torch
    from torchvision.transforms import InterpolationMode

    if parameter.name == "transforms" and isinstance(given, list):
        return [_build(entry, known) for entry in given]
    if parameter.name == "interpolation":
        return InterpolationMode(given)
    if parameter.name == "dtype" and isinstance(getattr(torch, str(given), None), torch.dtype):
        return getattr(torch, given)
    if isinstance(parameter.default, Enum):
        return type(parameter.default)(given)
    return given
