"""What training and evaluation see of an image: random crops, and the centre.

Both are torchvision's transforms of the same names. They take arrays as the store maps them, touch
no byte outside a crop, and resize 8-bit pixels as they are, which is several times as fast as
Pillow and differs from it by one grey level at most.
"""

import numpy as np
import torch
import torch.nn.functional as F

from dmlbench.data.decode import stored_size

#: Width by height of a random crop.
RATIO = (3 / 4, 4 / 3)
#: How often a random crop is drawn before the centre is taken.
_TRIES = 10


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear and antialiased: uint8 H x W x C to uint8 C x height x width."""
    # With the batch dimension added first, PyTorch sees channels last and takes its fast kernel.
    pixels = torch.from_numpy(np.array(image)[None]).permute(0, 3, 1, 2)
    resized = F.interpolate(
        pixels, size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )
    return resized[0].numpy()


def resized_side(size: int) -> int:
    """What evaluation resizes the short side to before it takes the centre: 256 for 224."""
    return round(size * 256 / 224)


def centre_view(image: np.ndarray, size: int) -> np.ndarray:
    """The evaluation view: uint8 H x W x C to uint8 C x size x size.

    ``Resize(resized_side(size))`` and ``CenterCrop(size)``.
    """
    width, height = stored_size(image.shape[1], image.shape[0], resized_side(size))
    top, left = round((height - size) / 2), round((width - size) / 2)
    if (height, width) == image.shape[:2]:
        return image[top : top + size, left : left + size].transpose(2, 0, 1)
    return resize(image, height, width)[:, top : top + size, left : left + size]


def random_boxes(
    shapes: np.ndarray, scale: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """The boxes of ``RandomResizedCrop``: N x 4 integers, top, left, height, width.

    An area that is a uniform share of the image and the logarithm of an aspect ratio are drawn
    until the box fits, ten times at most; then it is the largest centred box of an allowed ratio.

    Args:
        shapes: N x 2 or more: heights and widths.
        scale: The smallest and largest share of the area.
        rng: Takes the same number of draws whatever comes out of them.
    """
    heights, widths = shapes[:, 0], shapes[:, 1]
    drawn = (len(shapes), _TRIES)
    areas = (heights * widths)[:, None] * rng.uniform(*scale, drawn)
    ratios = np.exp(rng.uniform(*np.log(RATIO), drawn))
    places = rng.random((len(shapes), 2))
    tried_w = np.rint(np.sqrt(areas * ratios)).astype(np.int64)
    tried_h = np.rint(np.sqrt(areas / ratios)).astype(np.int64)
    fits = (tried_w <= widths[:, None]) & (tried_h <= heights[:, None])
    fits &= (tried_w > 0) & (tried_h > 0)
    chosen = np.arange(len(shapes)), fits.argmax(axis=1)
    box_h, box_w = tried_h[chosen], tried_w[chosen]
    tops = (places[:, 0] * (heights - box_h + 1)).astype(np.int64)
    lefts = (places[:, 1] * (widths - box_w + 1)).astype(np.int64)
    boxes = np.stack([tops, lefts, box_h, box_w], axis=1)
    for row in np.flatnonzero(~fits.any(axis=1)):
        boxes[row] = _centre_box(int(heights[row]), int(widths[row]))
    return boxes


def _centre_box(height: int, width: int) -> tuple[int, int, int, int]:
    """The largest centred box whose ratio is allowed: top, left, height, width."""
    box_h = min(height, round(width / RATIO[0]))
    box_w = min(width, round(height * RATIO[1]))
    return (height - box_h) // 2, (width - box_w) // 2, box_h, box_w


def cropped(image: np.ndarray, box: np.ndarray, size: int, flip: bool) -> np.ndarray:
    """The training view: a box of an image, uint8 H x W x C, as uint8 C x size x size."""
    top, left, height, width = box
    view = resize(image[top : top + height, left : left + width], size, size)
    return view[:, :, ::-1] if flip else view
