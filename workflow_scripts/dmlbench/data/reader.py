"""Images as network input."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from dmlbench.data.lookahead import look_ahead
from dmlbench.data.store import ImageStore
from dmlbench.data.views import CroppedImages, Job, WholeImages
from dmlbench.errors import DataError

#: Mean and standard deviation of ImageNet's channels, which its weights were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageReader:
    """Batches of network input from a store, as the recipe wants them."""

    def __init__(self, store: ImageStore, recipe: dict, threads: int) -> None:
        """Open a store.

        Args:
            store: The prepared dataset.
            recipe: The resolved recipe, whose keys ``image_size``, ``crop``, ``crop_scale``,
                ``invert`` and ``mean_std`` say what the network sees.
            threads: Batches made at a time, ahead of the one in use. Changes no pixel.

        Raises:
            DataError: Images differ in size or in channels, and the recipe cannot do with that.
        """
        if len(set(store.shapes[:, 2])) > 1:
            raise DataError("images differ in channels; the dataset must say their mode")
        self._threads = threads
        self._invert = recipe["invert"]
        self._crops = recipe["crop"] == "random_resized"
        if self._crops:
            scale = tuple(recipe["crop_scale"])
            self._images = CroppedImages(store, recipe["image_size"], scale)
        else:
            self._images = WholeImages(store, recipe["image_size"])
        self._imagenet = recipe["mean_std"] == "imagenet"
        if self._imagenet and self.channels != 3:
            raise DataError("mean_std: imagenet is for colour images, and these have one channel")

    @property
    def channels(self) -> int:
        """Colour channels of the input."""
        return self._images.channels

    @property
    def size(self) -> int:
        """Height of the input in pixels."""
        return self._images.size

    def batches(
        self,
        batches: Iterable[np.ndarray],
        device: torch.device,
        rng: np.random.Generator | None = None,
        skip: int = 0,
    ) -> Iterator[torch.Tensor]:
        """The images of each batch of rows: float32, B x C x H x W, on ``device``.

        In [0, 1], or with the mean and deviation of ImageNet taken out.

        Args:
            batches: Rows of the index, batch by batch.
            device: Where the network is.
            rng: The stream of random crops, for training; None gives the evaluation view.
            skip: How many batches are drawn but not made, as an interrupted epoch has had them.
        """
        jobs = (self._images.job(rows, rng) for rows in batches)
        jobs = islice(jobs, skip, None)
        # Whole images lie in memory: handing them between threads takes longer than to copy them.
        made = look_ahead(_do, jobs, self._threads) if self._crops else map(_do, jobs)
        for pixels in made:
            yield self._input(pixels, device)

    def _input(self, pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
        pixels = 255 - pixels if self._invert else pixels
        if device.type == "cpu":
            # On one core and to the same bit: PyTorch would wait for all its threads, and theirs
            # are the cores on which the next batches are made. A third faster.
            images = torch.empty_like(pixels, dtype=torch.float32)  # and to the same strides
            np.divide(pixels.numpy(), np.float32(255), out=images.numpy())
        else:
            images = pixels.to(device).float().div_(255)
        if not self._imagenet:
            return images
        mean, std = (
            torch.tensor(values, device=images.device)[:, None, None]
            for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        return images.sub_(mean).div_(std)


def _do(job: Job) -> torch.Tensor:
    return job()
