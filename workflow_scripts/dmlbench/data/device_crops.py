"""Crops made on a GPU, a batch at a time, from a store that lies there if it fits."""

from collections.abc import Callable

import numpy as np
import torch

from dmlbench.data.decode import stored_size
from dmlbench.data.resize_batch import Patches, resize_patches
from dmlbench.data.store import ImageStore
from dmlbench.data.transfer import copied, has_room, send
from dmlbench.data.transforms import random_boxes, resized_side

#: The pixels that a batch needs, unless the device has all, and what is made of them.
Wanted = tuple[np.ndarray | None, Patches]


class DeviceCrops:
    """Random crops for training and the centre for evaluation, resized on the device.

    The same views as :class:`dmlbench.data.views.CroppedImages`, from the same random numbers,
    within a grey level. Whether all pixels fit on the device changes no bit.
    """

    def __init__(
        self,
        store: ImageStore,
        image_size: int,
        scale: tuple[float, float],
        device: torch.device,
        resident: bool | None = None,
    ) -> None:
        """Crops of ``image_size`` squared.

        Args:
            store: The prepared dataset.
            image_size: Side of a crop.
            scale: The smallest and largest share of an image.
            device: Where to make them.
            resident: Whether to keep all pixels there; None does if they fit.
        """
        self._store, self._scale, self._device = store, scale, device
        self.size = image_size
        self.channels = int(store.shapes[0, 2])
        self.ahead = resident is False or not (resident or has_room(len(store.pixels), device))
        self._pixels = None if self.ahead else self._by_pixel(copied(store.pixels, device))

    def job(self, rows: np.ndarray, rng: np.random.Generator | None) -> Callable[[], Wanted]:
        """Draws what is random; the rest needs no order."""
        shapes = self._store.shapes[rows]
        if rng is None:
            boxes = np.concatenate([np.zeros_like(shapes[:, :2]), shapes[:, :2]], axis=1)
            return lambda: self._wanted(rows, boxes, *_centres(shapes, self.size))
        boxes = random_boxes(shapes, self._scale, rng)
        flips = rng.random(len(rows)) < 0.5
        sizes, corners = np.full_like(boxes[:, :2], self.size), np.zeros_like(boxes[:, :2])
        return lambda: self._wanted(rows, boxes, sizes, corners, flips)

    def finished(self, wanted: Wanted) -> torch.Tensor:
        """uint8 B x C x size x size on the device, channels last in memory."""
        pixels, patches = wanted
        here = self._pixels if pixels is None else self._by_pixel(send(pixels, self._device))
        return resize_patches(here, patches, self.size)

    def _wanted(
        self,
        rows: np.ndarray,
        boxes: np.ndarray,
        sizes: np.ndarray,
        corners: np.ndarray,
        flips: np.ndarray,
    ) -> Wanted:
        top, left, height, width = boxes.T
        if self.ahead:
            parts = [
                self._store.image(row)[y : y + h, x : x + w].reshape(-1)
                for row, (y, x, h, w) in zip(rows, boxes, strict=True)
            ]
            pixels, stride = np.concatenate(parts), width
            start = np.cumsum(height * width) - height * width
        else:
            pixels, stride = None, self._store.shapes[rows, 1]
            start = self._store.starts[rows] // self.channels + top * stride + left
        return pixels, Patches(start, stride, height, width, *sizes.T, *corners.T, flips)

    def _by_pixel(self, values: torch.Tensor) -> torch.Tensor:
        return values.view(-1, self.channels)


def _centres(shapes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What ``Resize`` and ``CenterCrop`` make: sizes, top left corners and no flips."""
    short = resized_side(size)
    sizes = np.array([stored_size(w, h, short)[::-1] for h, w, _ in shapes.tolist()])
    corners = np.rint((sizes - size) / 2).astype(np.int64)
    return sizes, corners, np.zeros(len(shapes), dtype=bool)
