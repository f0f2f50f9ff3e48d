"""Images as the network sees them, still 8 bits: whole ones, or crops made as they are asked for.

Both have ``size`` and ``channels`` and make batches in two steps: :meth:`job` draws what is random
and returns a function that makes the pixels, B x C x size x size, in any thread.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from dmlbench.data.store import ImageStore
from dmlbench.data.transforms import centre_view, cropped, random_boxes
from dmlbench.errors import DataError

Job = Callable[[], torch.Tensor]


class WholeImages:
    """Whole images, resized to a square once and kept in memory."""

    def __init__(self, store: ImageStore, image_size: int | None) -> None:
        """Read all pixels; ``image_size`` None keeps the stored size.

        Raises:
            DataError: Images differ in size, which needs ``image_size``.
        """
        rows = np.arange(len(store.index))
        if store.uniform() is not None:
            blocks = np.array_split(rows, -(-len(rows) // 4096))
        elif image_size is not None:
            blocks = rows[:, None]
        else:
            raise DataError("images differ in size: the recipe needs an image_size")
        self._images = torch.cat([_squared(store.images(block), image_size) for block in blocks])
        self.channels, self.size = self._images.shape[1:3]

    def job(self, rows: np.ndarray, rng: np.random.Generator | None) -> Job:
        """The images of ``rows``; nothing is random."""
        return lambda: self._images[torch.from_numpy(rows)]


class CroppedImages:
    """Random crops for training and the centre for evaluation, read from the store each time."""

    def __init__(self, store: ImageStore, image_size: int, scale: tuple[float, float]) -> None:
        """Crops of ``image_size`` squared; ``scale``: their smallest and largest share."""
        self._store = store
        self._scale = scale
        self.size = image_size
        self.channels = int(store.shapes[0, 2])

    def job(self, rows: np.ndarray, rng: np.random.Generator | None) -> Job:
        """Crops of the images of ``rows``, every second one flipped; without ``rng`` centres."""
        if rng is None:
            return lambda: self._stack(rows, lambda n, image: centre_view(image, self.size))
        boxes = random_boxes(self._store.shapes[rows], self._scale, rng)
        flips = rng.random(len(rows)) < 0.5
        return lambda: self._stack(
            rows, lambda n, image: cropped(image, boxes[n], self.size, flips[n])
        )

    def _stack(
        self, rows: np.ndarray, view: Callable[[int, np.ndarray], np.ndarray]
    ) -> torch.Tensor:
        # Copied by NumPy, as PyTorch would start threads of its own in each of ours.
        batch = np.empty((len(rows), self.channels, self.size, self.size), dtype=np.uint8)
        for number, row in enumerate(rows):
            batch[number] = view(number, self._store.image(row))
        return torch.from_numpy(batch)


def _squared(images: np.ndarray, size: int | None) -> torch.Tensor:
    """uint8 N x H x W x C to uint8 N x C x size x size, averaging what a pixel covers."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    if size is None:
        return pixels.contiguous()
    resized = F.interpolate(
        pixels.float(), size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return resized.round().clamp(0, 255).to(torch.uint8)
