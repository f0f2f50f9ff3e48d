"""Encoded images as pixels, and the sizes that a store keeps."""

import io
import struct
import warnings

import numpy as np
from PIL import Image

from dmlbench.errors import DataError

# Neither transparency that is dropped nor a large image is a mistake.
warnings.filterwarnings("ignore", message="Palette images with Transparency")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

#: What each store resizes the short side to when a dataset is prepared; None keeps all pixels.
STORES: dict[str, int | None] = {"original": None, "resize256": 256}
#: What a dataset's images become, and how many channels that is.
CHANNELS = {"L": 1, "RGB": 3}
#: Formats that are read; Pillow knows many more, each of them code that a file could trip over.
_FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")
#: What Pillow raises where a file is damaged.
_UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


def image_size(image: np.ndarray | bytes, what: str, hint: str) -> tuple[int, int]:
    """Width and height in pixels, of an encoded image from its header alone; see :func:`pixels`.

    Raises:
        DataError: The header cannot be read.
    """
    if isinstance(image, np.ndarray):
        return image.shape[1], image.shape[0]
    try:
        with Image.open(io.BytesIO(image), formats=_FORMATS) as opened:
            return opened.size
    except _UNREADABLE as error:
        raise DataError(_unreadable(what, error, hint)) from None


def stored_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Width and height in a store, rounded as torchvision's ``Resize`` does.

    ``short_side`` is what the shorter side becomes; None keeps the size.
    """
    if short_side is None or min(width, height) == short_side:
        return width, height
    if width <= height:
        return short_side, int(short_side * height / width)
    return int(short_side * width / height), short_side


def pixels(
    image: np.ndarray | bytes,
    mode: str,
    short_side: int | None,
    what: str,
    hint: str = "it may be damaged",
) -> np.ndarray:
    """The pixels that a store keeps of an image: uint8, height x width x channels.

    Encoded images become ``mode`` as Pillow converts them: an alpha channel is dropped, of 16 bits
    the upper 8 stay. An EXIF orientation is not applied: the published numbers are of images as
    they are stored. Resizing is Pillow's antialiased bilinear, as torchvision does it; a smaller
    image is enlarged.

    Args:
        image: As in :class:`dmlbench.data.dataset.Record`.
        mode: ``RGB`` or ``L``; arrays have their channels already.
        short_side: See :func:`stored_size`.
        what, hint: The image's name, and the end of a message that it cannot be read.

    Raises:
        DataError: The image cannot be read, or is cut short.
    """
    if isinstance(image, np.ndarray):
        array = np.ascontiguousarray(image, dtype=np.uint8)
        size = stored_size(array.shape[1], array.shape[0], short_side)
        if size == (array.shape[1], array.shape[0]):
            return array
        decoded = Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array)
    else:
        decoded = _decoded(image, mode, what, hint)
        size = stored_size(*decoded.size, short_side)
    if size != decoded.size:
        decoded = decoded.resize(size, Image.Resampling.BILINEAR)
    array = np.asarray(decoded)
    return np.ascontiguousarray(array[:, :, None] if array.ndim == 2 else array)


def _decoded(data: bytes, mode: str, what: str, hint: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            image.load()
            if image.mode.startswith("I"):  # 16 bits; Pillow would clip what is above 255
                upper = np.asarray(image).astype(np.int64) >> 8
                image = Image.fromarray(upper.clip(0, 255).astype(np.uint8))
            return image.convert(mode)
    except _UNREADABLE as error:
        raise DataError(_unreadable(what, error, hint)) from None


def _unreadable(what: str, error: Exception, hint: str) -> str:
    # Pillow's own message of an unknown format names an object in memory.
    reason = "no known image format" if "cannot identify" in str(error) else error
    return f"{what} cannot be read as an image ({reason}); {hint}"
