"""Whether a recipe makes squares of one size of a dataset's images, by the heads of their files."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import islice
from typing import Any

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.errors import ConfigError
from dmlbench.plugins.image_transforms import build_transforms
from dmlbench.progress import counting

#: Height and width in pixels.
Shape = tuple[int, int]
#: Transforms that make one square of all of these make it of any image that they can be done to.
_ANY = dict.fromkeys([(1280, 1280), (1536, 1536), (1280, 1024), (1024, 1280)], "")
#: Transforms that can be done to this one can be done to any image. A random crop cannot.
_SMALLEST = {(1, 1): ""}
#: Files that are opened before the sizes are looked at.
_BLOCK = 1024
# The rules of this room above are looked up by name, as losses are: it imports PyTorch.
_DATA = "dmlbench.data"


def size_problems(
    dataset: str,
    facts: DatasetFacts,
    images: Callable[[], Iterable[Any]] | None,
    recipe: dict,
    where: str,
) -> Iterator[str]:
    """Images that would not become squares of one size, which a batch needs.

    No file is opened where the recipe fixes the size.

    Args:
        images: Gives the records of a user's own images; None for a registered dataset, whose facts
            may say that its images differ.
        recipe: Resolved.
        where: The experiment and the recipe, for the message.
    """
    if not (images or facts.mixed_sizes) or _is_fixed(recipe):
        return
    try:
        if found := _differences(images, recipe):
            yield (
                f"{where}: images of {dataset} {found}; give the recipe an image_size, or end its "
                "transforms with CenterCrop or with Resize to [height, width]"
            )
    except ConfigError as error:
        yield f"{where}: its transforms {error}"


def _is_fixed(recipe: dict) -> bool:
    """Whether a recipe without transforms of its own has a size, to which all images are made."""
    own = recipe["train_transforms"] is not None or recipe["eval_transforms"] is not None
    return not own and bool(recipe["image_size"] or recipe["mean_std"] == "weights")


def _differences(images: Callable[[], Iterable[Any]] | None, recipe: dict) -> str:
    """What keeps a batch from being made of these images, in words; "" if nothing does."""
    is_square = _is_square(_shapes(_ANY, recipe))
    if is_square and (images is None or _takes_the_smallest(recipe)):
        return ""
    if images is None:
        return "differ in size"
    shapes = _shapes(_of_files(images(), recipe), recipe)
    if not shapes or _is_square(shapes):
        return ""
    told = [f"{h} x {w} ({name})" for (h, w), name in islice(shapes.items(), 2)]
    what = "differ in size" if len(shapes) > 1 else "are no squares"
    return f"{what}, such as {' and '.join(told)}"


def _takes_the_smallest(recipe: dict) -> bool:
    try:
        return bool(_shapes(_SMALLEST, recipe))
    except ConfigError:
        return False


def _is_square(shapes: dict[Shape, str]) -> bool:
    return len(shapes) == 1 and all(height == width for height, width in shapes)


def _shapes(images: dict[Shape, str], recipe: dict) -> dict[Shape, str]:
    """What images of these shapes become for training and evaluation, with a name of each."""
    store = import_module(f"{_DATA}.decode").STORES[recipe["store"]]
    how = import_module(f"{_DATA}.reader").input_format(recipe)
    made: dict[Shape, str] = {}
    for entries in (how.evaluation, how.train):
        if entries is not None:
            transform = build_transforms(entries)
            for shape, name in images.items():
                made.setdefault(_transformed(shape, store, transform), name)
    return made


def _transformed(shape: Shape, store: int | None, transform: Callable[[Any], Any]) -> Shape:
    import numpy as np
    import torch

    pixels = import_module(f"{_DATA}.decode").pixels
    kept = pixels(np.zeros((*shape, 3), dtype=np.uint8), "RGB", store, "an image")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            return tuple(transform(torch.tensor(kept).permute(2, 0, 1)).shape[1:])
        except Exception as error:  # a transform may fail with any of them
            reason = str(error).partition("\n")[0]
    height, width = shape
    raise ConfigError(f"cannot be done to an image of {height} x {width} pixels ({reason})")


def _of_files(images: Iterable[Any], recipe: dict) -> dict[Shape, str]:
    """The shapes of images and the first name of each, up to the first ones that are a mistake."""
    found: dict[Shape, str] = {}
    images = iter(images)
    with (
        counting("reading the sizes of images", None, "images") as count,
        ThreadPoolExecutor() as pool,
    ):
        while block := list(islice(images, _BLOCK)):
            before = len(found)
            for record, shape in zip(block, pool.map(_shape, block), strict=True):
                if shape:
                    found.setdefault(shape, record.path)
            count(len(block))
            if len(found) > before and not _is_square(_shapes(found, recipe)):
                break
    return found


def _shape(record: Any) -> Shape | None:
    """Height and width as a store keeps them; None where the file cannot be read.

    Rule prepare, which decodes every image, tells of all that it cannot read.
    """
    from PIL import Image

    decode = import_module(f"{_DATA}.decode")
    try:
        with Image.open(record.image, formats=decode.FORMATS) as opened:
            width, height = opened.size
    except decode.UNREADABLE:
        return None
    if not record.box:
        return height, width
    inside = decode.inside(record.box, width, height)
    return inside and (inside[3] - inside[1], inside[2] - inside[0])
