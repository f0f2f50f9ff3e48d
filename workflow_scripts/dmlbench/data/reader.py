"""Images as network input."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from dmlbench.data.lookahead import look_ahead
from dmlbench.data.store import ImageStore
from dmlbench.data.views import views
from dmlbench.errors import DataError

T = TypeVar("T")

#: Mean and standard deviation of ImageNet's channels, which its weights were trained with; gray
#: images take their averages.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageReader:
    """Batches of network input from a store, as the recipe wants them.

    Attributes:
        device: Where they come to lie.
    """

    def __init__(
        self,
        store: ImageStore,
        recipe: dict,
        threads: int,
        device: torch.device = torch.device("cpu"),  # noqa: B008
    ) -> None:
        """Open a store.

        Args:
            store: The prepared dataset.
            recipe: The resolved recipe, whose keys ``image_size``, ``crop``, ``crop_scale``,
                ``invert`` and ``mean_std`` say what the network sees.
            threads: Batches made at a time, ahead of the one in use. Changes no pixel.
            device: Where the network is. A GPU makes crops itself, of images that lie there if
                they fit; they differ from those of a CPU by one grey level at most.

        Raises:
            DataError: Images differ in size or in channels, and the recipe cannot do with that.
        """
        if len(set(store.shapes[:, 2])) > 1:
            raise DataError("images differ in channels; the dataset must say their mode")
        self._threads = threads
        self._invert = recipe["invert"]
        self.device = device
        scale = tuple(recipe["crop_scale"]) if recipe["crop"] == "random_resized" else None
        self._images = views(store, recipe["image_size"], scale, device)
        self._imagenet = recipe["mean_std"] == "imagenet"
        self._mean, self._std = (
            (torch.tensor(values) if self.channels == 3 else torch.tensor(values).mean()[None])
            .to(device)
            .view(-1, 1, 1)
            for values in (IMAGENET_MEAN, IMAGENET_STD)
        )

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
        rng: np.random.Generator | None = None,
        skip: int = 0,
    ) -> Iterator[torch.Tensor]:
        """The images of each batch of rows: float32, B x C x H x W, on the device.

        In [0, 1], or with the mean and deviation of ImageNet taken out. On a GPU with channels last
        in memory, and without waiting for it.

        Args:
            batches: Rows of the index, batch by batch.
            rng: The stream of random crops, for training; None gives the evaluation view.
            skip: How many batches are drawn but not made, as an interrupted epoch has had them.
        """
        jobs = (self._images.job(rows, rng) for rows in batches)
        jobs = islice(jobs, skip, None)
        ahead = self._images.ahead
        for made in look_ahead(_do, jobs, self._threads) if ahead else map(_do, jobs):
            yield self._input(self._images.finished(made))

    def _input(self, pixels: torch.Tensor) -> torch.Tensor:
        pixels = 255 - pixels if self._invert else pixels
        if pixels.device.type == "cpu":
            # On one core and to the same bit: PyTorch would wait for all its threads, and theirs
            # are the cores on which the next batches are made. A third faster.
            images = torch.empty_like(pixels, dtype=torch.float32)  # and to the same strides
            np.divide(pixels.numpy(), np.float32(255), out=images.numpy())
        else:
            images = pixels.contiguous(memory_format=torch.channels_last).float().div_(255)
        return images.sub_(self._mean).div_(self._std) if self._imagenet else images


def _do(job: Callable[[], T]) -> T:
    return job()
