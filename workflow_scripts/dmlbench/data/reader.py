"""Images as network input: from the store through the recipe's transforms to the device."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from dmlbench.data.store import ImageStore
from dmlbench.errors import DataError
from dmlbench.plugins.image_transforms import TransformEntry, build_transforms
from dmlbench.plugins.timm_names import image_config

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

#: Up to so many bytes, images without random transforms are made once and kept on the device.
_KEPT = 1 << 30
#: Up to so many bytes, a store is read without worker processes: they take longer to start.
_SMALL = 1 << 26
#: What asks a training to leave.
_TO_LEAVE = {signal.SIGINT, signal.SIGUSR1, signal.SIGTERM}

#: Row of the index, seed of its random numbers, and whether it is for training.
Place = tuple[int, int, bool]


class InputFormat(NamedTuple):
    """How images become network input: transforms, then mean and deviation of each colour."""

    train: list[TransformEntry] | None  #: None: those of evaluation
    evaluation: list[TransformEntry]
    mean: tuple[float, ...] | None  #: of pixels from 0 to 1; None leaves these as they are
    std: tuple[float, ...] | None


def input_format(recipe: dict) -> InputFormat:
    """What the image keys of a resolved recipe stand for; weights must be known to timm."""
    size, options, mean, std = recipe["image_size"], {}, None, None
    before = size and round(size * 256 / 224)
    if recipe["mean_std"] == "imagenet":
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    elif recipe["mean_std"] == "weights":
        known = image_config(recipe["backbone"], recipe["weights"])
        mean, std, options = known.mean, known.std, {"interpolation": known.interpolation}
        size = size or known.size
        before = known.before_crop(size)
    train, evaluation = recipe["train_transforms"], recipe["eval_transforms"]
    if recipe["crop"] == "random_resized" and size:
        crop = [{"RandomResizedCrop": {"size": size, **options}}, "RandomHorizontalFlip"]
        whole = [{"Resize": {"size": before, **options}}, {"CenterCrop": {"size": size}}]
    else:
        crop = None
        whole = [{"Resize": {"size": [size, size], **options}}] if size else []
    return InputFormat(
        crop if train is None else train, whole if evaluation is None else evaluation, mean, std
    )


class ImageReader:
    """Batches of network input from a store: ``channels`` x ``size`` x ``size`` on ``device``."""

    def __init__(
        self,
        store: ImageStore,
        recipe: dict,
        workers: int,
        device: torch.device = torch.device("cpu"),  # noqa: B008
    ) -> None:
        """Read ``store`` as the image keys of a resolved ``recipe`` say.

        ``workers`` processes make batches ahead of the one in use; they change no bit.

        Raises:
            DataError: The images differ in channels, or do not become squares of one size.
        """
        if len(set(store.shapes[:, 2])) > 1:
            raise DataError("images differ in channels; the dataset must say their mode")
        self.sha256: str | None = None  # of features, which images are not
        self.device, self._on_gpu = device, device.type == "cuda"
        train, evaluation, *mean_std = input_format(recipe)
        self._views = _Views(store, train, evaluation)
        self.size, _, self.channels = self._views.shape
        self._mean, self._std = (self._per_channel(values) for values in mean_std)
        self._places: list[list[Place]] = []  # batches that the loader is to make next
        self._memory = torch.empty(0)
        workers = workers if len(store.pixels) > _SMALL else 0
        self._loader = DataLoader(
            self._views,
            batch_sampler=self._places,
            num_workers=workers,
            pin_memory=self._on_gpu,
            persistent_workers=workers > 0,
            worker_init_fn=_obey_the_training_only,
            generator=torch.Generator(),  # or it would draw from the global one
        )
        self._kept = None  # all images, N x H x W x C
        if train is None and len(store.index) * self.channels * self.size**2 <= _KEPT:
            everything = np.arange(len(store.index))
            blocks = np.array_split(everything, -(-len(everything) // 512))
            self._kept = torch.cat(list(self._made(blocks))).to(device)

    @property
    def input(self) -> dict[str, int]:
        """What :class:`dmlbench.models.embedder.Embedder` is built for."""
        return {"channels": self.channels, "image_size": self.size}

    def noise(self, count: int) -> torch.Tensor:
        """Some input to try a network on; see :func:`noise`."""
        return noise((count, self.channels, self.size, self.size), self.device)

    def batches(
        self, rows: Iterable[np.ndarray], seeds: Iterable[np.ndarray] | None = None
    ) -> Iterator[torch.Tensor]:
        """The images of each batch: float32, B x C x size x size, on the device.

        From 0 to 1, or with mean and deviation taken out; the next batch overwrites their memory.
        ``rows`` are rows of the index, batch by batch. For training, each has a seed, of its random
        transforms; without ``seeds`` the transforms are evaluation's.
        """
        if self._kept is not None:
            for batch in rows:
                yield self._input(self._kept[send(batch, self.device)])
            return
        for pixels in self._made(rows, seeds):
            yield self._input(pixels)

    def _made(
        self, rows: Iterable[np.ndarray], seeds: Iterable[np.ndarray] | None = None
    ) -> Iterator[torch.Tensor]:
        """Each batch after its transforms: B x H x W x C."""
        training = seeds is not None
        self._places.clear()
        for some, their in zip(rows, seeds if training else rows, strict=True):
            pairs = zip(some.tolist(), their.tolist(), strict=True)
            self._places.append([(row, seed, training) for row, seed in pairs])
        try:
            with _signals_held():
                made = iter(self._loader)
            yield from made
        except DataError as error:
            # A worker's comes with its traceback; the message is the last line.
            last = str(error).strip().splitlines()[-1]
            raise DataError(last.removeprefix("dmlbench.errors.DataError: ")) from None

    def _input(self, pixels: torch.Tensor) -> torch.Tensor:
        """B x H x W x C pixels as float32, B x C x H x W."""
        pixels = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        if self._memory.shape != pixels.shape:
            # Channels last in memory are faster on a GPU; on a CPU they cost a tenth of a step in
            # colour. Gray pixels are the same in both, but PyTorch chooses its kernels by strides.
            last = self._on_gpu or self.channels == 1
            layout = torch.channels_last if last else torch.contiguous_format
            self._memory = torch.empty(pixels.shape, device=self.device, memory_format=layout)
        images = self._memory  # touched before: filled in a third of the time of fresh memory
        if pixels.is_floating_point():
            images.copy_(pixels)
        elif self._on_gpu:
            images.copy_(pixels).div_(255)
        else:
            # The same bits on one core: PyTorch's threads would wait for those of the workers.
            np.divide(pixels.numpy(), np.float32(255), out=images.numpy())
        if self._mean is not None:
            images.sub_(self._mean).div_(self._std)
        return images

    def _per_channel(self, values: tuple[float, ...] | None) -> torch.Tensor | None:
        """C x 1 x 1 numbers on the device; gray images take the average of the colours."""
        if values is None:
            return None
        colours = torch.tensor(values)
        return (colours if self.channels == 3 else colours.mean()).view(-1, 1, 1).to(self.device)


class _Views(Dataset):
    """Images after their transforms."""

    def __init__(self, store: ImageStore, train: list | None, evaluation: list) -> None:
        self.store = store
        self._given = store, train, evaluation
        self._evaluation = build_transforms(evaluation)
        self._train = self._evaluation if train is None else build_transforms(train)
        self.shape: torch.Size | None = None
        self.shape = self[0, 0, False].shape
        if self.shape[0] != self.shape[1]:
            self._refuse(0, f"become {_words(self.shape)}, which is no square")
        self[0, 0, True]

    def __reduce__(self) -> tuple:
        """Another process builds the transforms itself."""
        return _Views, self._given

    def __getitem__(self, place: Place) -> torch.Tensor:
        """H x W x C. The global random stream is left as it was."""
        row, seed, training = place
        transform = self._train if training else self._evaluation
        image = torch.from_numpy(self.store.image(row)).permute(2, 0, 1)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            try:
                made = transform(image)
            except Exception as error:  # a transform may fail with any of them
                reason = str(error).partition("\n")[0]
                self._refuse(row, f"cannot be transformed ({reason})")
        made = made.permute(1, 2, 0).contiguous()
        if self.shape is not None and made.shape != self.shape:
            self._refuse(row, f"become {_words(made.shape)}, the first one {_words(self.shape)}")
        return made

    def _refuse(self, row: int, what: str) -> None:
        raise DataError(
            f"images {what} (at {self.store.index['id'].iloc[row]}); give the recipe an "
            "image_size, or end its transforms with CenterCrop or with Resize to [height, width]"
        )


def _words(shape: torch.Size) -> str:
    return "{} x {} x {}".format(*shape)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals to leave wait: a worker that is being started inherits this, until it is ready."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_LEAVE)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _obey_the_training_only(worker: int) -> None:
    """A signal to leave is for the training; it needs its workers until the step is done."""
    if not hasattr(signal, "sigwaitinfo"):  # macOS
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    else:
        signal.pthread_sigmask(signal.SIG_BLOCK, _TO_LEAVE)
        Thread(target=_wait_for_the_training, args=(os.getppid(),), daemon=True).start()


def _wait_for_the_training(process: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != process:
        pass
    os._exit(0)


def noise(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Numbers from 0 to 1, the same each time; nothing is drawn from the global random stream."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)


def send(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """``values`` on ``device``, without waiting for a GPU; the same memory on a CPU."""
    tensor = torch.as_tensor(values)
    if device.type == "cpu":
        return tensor
    # A copy from pinned memory takes its turn among the kernels; another one is waited for.
    return tensor.pin_memory().to(device, non_blocking=True)
