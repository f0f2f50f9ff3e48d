"""Images as network input."""

import numpy as np
import torch
import torch.nn.functional as F

from dmlbench.data.store import ImageStore
from dmlbench.errors import DataError


class ImageReader:
    """Batches of network input from a store.

    What is the same for every epoch (resizing, ink polarity) is done once, here; images stay
    uint8 until they are asked for.
    """

    def __init__(self, store: ImageStore, image_size: int | None, invert: bool) -> None:
        """Read all pixels.

        Args:
            store: The prepared dataset.
            image_size: Side of the square input; None keeps the stored size.
            invert: Swap dark and light.

        Raises:
            DataError: Images differ in shape, which needs ``image_size``.
        """
        images = store.uniform()
        if images is None:
            if image_size is None:
                raise DataError("images differ in size: the recipe needs an image_size")
            rows = [_resize(store.image(r)[None], image_size) for r in range(len(store.index))]
            self._images = torch.cat(rows)
        elif image_size is None:
            self._images = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous()
        else:
            blocks = range(0, len(images), 4096)
            self._images = torch.cat([_resize(images[b : b + 4096], image_size) for b in blocks])
        if invert:
            self._images = 255 - self._images

    @property
    def channels(self) -> int:
        """Colour channels of the input."""
        return self._images.shape[1]

    @property
    def size(self) -> int:
        """Height of the input in pixels."""
        return self._images.shape[2]

    def batch(self, rows: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Images of ``rows`` as float32 in [0, 1], B x C x H x W, on ``device``."""
        return self._images[rows].to(device).float().div_(255)


def _resize(images: np.ndarray, size: int) -> torch.Tensor:
    """uint8 N x H x W x C to uint8 N x C x size x size, averaging what a pixel covers."""
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float()
    resized = F.interpolate(
        pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return resized.round().clamp(0, 255).to(torch.uint8)
