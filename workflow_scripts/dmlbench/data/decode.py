"""Encoded images as pixels, in the sizes that a store keeps."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from dmlbench.errors import DataError

# Neither transparency that is dropped nor a large image is a mistake.
warnings.filterwarnings("ignore", message="Palette images with Transparency")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

#: What each store resizes the short side to when a dataset is prepared; None keeps all pixels.
STORES: dict[str, int | None] = {"original": None, "resize256": 256}
#: Formats that are read; Pillow knows many more, each of them code that a file could trip over.
FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")
#: What Pillow raises where a file is damaged.
UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


def pixels(
    image: np.ndarray | bytes | Path,
    mode: str,
    short_side: int | None,
    what: str,
    hint: str = "it may be damaged",
    box: tuple[float, ...] | None = None,
) -> np.ndarray:
    """The pixels that a store keeps of an image: uint8, height x width x channels.

    Encoded images become ``mode`` as Pillow converts them: an alpha channel is dropped, of 16 bits
    the upper 8 stay. An EXIF orientation is not applied: the published numbers are of images as
    they are stored. Resizing is torchvision's antialiased bilinear; a smaller image is enlarged.

    Args:
        image: As in :class:`dmlbench.data.dataset.Record`; arrays have their channels already.
        mode: ``RGB`` or ``L``.
        short_side: What the shorter side becomes; None keeps the size.
        what, hint: The image's name, and the end of a message that it cannot be read.
        box: Left, top, right and bottom to cut it to first, rounded to whole pixels; what lies
            outside the image is left out.

    Raises:
        DataError: The image cannot be read, or is cut short; or nothing of it is in the box.
    """
    if isinstance(image, Path):
        try:
            image = image.read_bytes()
        except OSError as error:
            raise DataError(f"{what} cannot be read ({error.strerror}); {hint}") from None
    if isinstance(image, bytes):
        decoded = _decoded(image, mode, what, hint)
    else:
        image = np.asarray(image, dtype=np.uint8)
        decoded = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    if box:
        decoded = _cut(decoded, box, what)
    if short_side:
        from torchvision.transforms.functional import resize  # takes seconds

        decoded = resize(decoded, short_side)
    return np.atleast_3d(decoded)


def _cut(image: Image.Image, box: tuple[float, ...], what: str) -> Image.Image:
    if found := inside(box, image.width, image.height):
        return image.crop(found)
    size = f"{image.width} x {image.height}"
    raise DataError(f"{what}: nothing of its {size} pixels is in the box {box}; mend the box")


def inside(box: tuple[float, ...], width: int, height: int) -> tuple[int, int, int, int] | None:
    """What of a box lies inside an image: left, top, right, bottom; None where nothing does."""
    left, top, right, bottom = map(round, box)
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, width), min(bottom, height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _decoded(data: bytes, mode: str, what: str, hint: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            if image.mode.startswith("I"):  # 16 bits; Pillow would clip what is above 255
                upper = np.asarray(image).astype(np.int64) >> 8
                image = Image.fromarray(upper.clip(0, 255).astype(np.uint8))
            return image.convert(mode)
    except UNREADABLE as error:
        # Pillow's own message of an unknown format names an object in memory.
        reason = "no known image format" if "cannot identify" in str(error) else error
        raise DataError(f"{what} cannot be read as an image ({reason}); {hint}") from None
