"""Images as the network sees them, still 8 bits: whole ones, or crops made as they are asked for.

A batch is made in two steps. :meth:`Views.job` draws what is random and returns a function, which
may be called in any thread; :meth:`Views.finished` makes pixels of what the function returned.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from dmlbench.data.device_crops import DeviceCrops
from dmlbench.data.store import ImageStore
from dmlbench.data.transfer import has_room, send
from dmlbench.data.transforms import centre_view, cropped, random_boxes
from dmlbench.errors import DataError


class Views(Protocol):
    """Makes batches of pixels: uint8, B x ``channels`` x ``size`` x ``size``, on a device.

    Attributes:
        ahead: Whether a job is work enough to be done ahead by threads.
    """

    size: int
    channels: int
    ahead: bool

    def job(self, rows: np.ndarray, rng: np.random.Generator | None) -> Callable[[], Any]:
        """Begin a batch of these rows of the index; without ``rng`` nothing is random."""

    def finished(self, made: Any) -> torch.Tensor:
        """The pixels, of what a job returned."""


def views(
    store: ImageStore,
    image_size: int | None,
    crop_scale: tuple[float, float] | None,
    device: torch.device,
) -> Views:
    """Random crops whose share of an image lies in ``crop_scale``, or whole images if it is None.

    Raises:
        DataError: Images differ in size and are neither resized nor cropped.
    """
    if crop_scale is None:
        return WholeImages(store, image_size, device)
    if device.type == "cpu":
        return CroppedImages(store, image_size, crop_scale)
    return DeviceCrops(store, image_size, crop_scale, device)


class WholeImages:
    """Whole images, resized to a square once and kept in memory, on the device if they fit."""

    ahead = False  # to hand them between threads takes longer than to copy them

    def __init__(self, store: ImageStore, image_size: int | None, device: torch.device) -> None:
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
        images = torch.cat([_squared(store.images(block), image_size) for block in blocks])
        self.channels, self.size = images.shape[1:3]
        self._images = images.to(device) if has_room(images.nbytes, device) else images
        self._device = device

    def job(self, rows: np.ndarray, rng: np.random.Generator | None) -> Callable[[], np.ndarray]:
        """The images of ``rows``; nothing is random, and nothing worth doing ahead."""
        return lambda: rows

    def finished(self, made: np.ndarray) -> torch.Tensor:
        """uint8 B x C x size x size on the device."""
        return send(self._images[send(made, self._images.device)], self._device)


class CroppedImages:
    """Random crops for training and the centre for evaluation, made by threads of the CPU."""

    ahead = True

    def __init__(self, store: ImageStore, image_size: int, scale: tuple[float, float]) -> None:
        """Crops of ``image_size`` squared; ``scale``: their smallest and largest share."""
        self._store = store
        self._scale = scale
        self.size = image_size
        self.channels = int(store.shapes[0, 2])

    def job(self, rows: np.ndarray, rng: np.random.Generator | None) -> Callable[[], torch.Tensor]:
        """Crops of the images of ``rows``, every second one flipped; without ``rng`` centres."""
        if rng is None:
            return lambda: self._stack(rows, lambda n, image: centre_view(image, self.size))
        boxes = random_boxes(self._store.shapes[rows], self._scale, rng)
        flips = rng.random(len(rows)) < 0.5
        return lambda: self._stack(
            rows, lambda n, image: cropped(image, boxes[n], self.size, flips[n])
        )

    def finished(self, made: torch.Tensor) -> torch.Tensor:
        """The pixels, as the job made them."""
        return made

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
