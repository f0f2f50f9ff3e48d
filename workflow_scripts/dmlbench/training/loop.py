"""Training one run."""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from dmlbench.data.dataset import Dataset
from dmlbench.data.identity import content_hash
from dmlbench.data.store import ImageStore
from dmlbench.data.transfer import send
from dmlbench.errors import DivergedError, OutOfMemoryError
from dmlbench.losses.building import build_loss
from dmlbench.models.embedder import Embedder
from dmlbench.progress import counting
from dmlbench.samplers.sampler import build_sampler
from dmlbench.seeding import derive_seed
from dmlbench.training.checkpoint import Checkpoint
from dmlbench.training.class_means import class_means
from dmlbench.training.determinism import (
    make_deterministic,
    pick_device,
    seed_everything,
    wait_for,
)
from dmlbench.training.epoch import EpochRecord
from dmlbench.training.images import TrainingImages
from dmlbench.training.monitors import Selections
from dmlbench.training.optimizer import build_optimizer
from dmlbench.training.state import Progress, Snapshot, unsaved
from dmlbench.training.step import Step
from dmlbench.training.stopping import LeaveNow, Stopping

log = logging.getLogger(__name__)


@dataclass
class Trained:
    """What a run leaves.

    Attributes:
        selections: The kept weights.
        history: One row per epoch.
        input: Channels and size that the model was built for.
        device: Where it was trained.
        initial_weights: The hash of the model's weights before the first step.
        data: The hash of the dataset.
    """

    selections: Selections
    history: pd.DataFrame
    input: dict[str, int]
    device: str
    initial_weights: str
    data: str


class Trainer:
    """One run: the model, its loss and sampler, and the images they see."""

    def __init__(self, spec: dict, dataset: type[Dataset], store: ImageStore) -> None:
        """Build everything from a resolved run (:meth:`dmlbench.config.Plan.spec`)."""
        make_deterministic(spec["threads"])
        self.spec, self.recipe = spec, spec["recipe"]
        self.device = pick_device(self.recipe["device"])
        self.data = content_hash(store.index)
        self.images = TrainingImages(spec, dataset, store, self.device)
        self.reader = self.images.reader
        self._labels = send(self.images.labels, self.device)
        self._content = send(self.images.content[self.images.rows], self.device)
        seed_everything(derive_seed("initial weights", self.recipe["backbone"], spec["seed"]))
        self.model = Embedder(self.recipe, self.reader.channels, self.reader.size).to(self.device)
        if self.device.type == "cuda":
            self.model = self.model.to(memory_format=torch.channels_last)
        self.loss = build_loss(spec["loss"], self.images.classes, self.recipe["embedding_dim"]).to(
            self.device
        )
        self.sampler = build_sampler(spec["sampler"])
        self.optimizer = build_optimizer(self.recipe["optimizer"], self.model, self.loss)
        self._initial = self.model.sha256()
        half = self.recipe["precision"] == "bfloat16"
        self.step = Step(self.model, self.loss, self.sampler, self.optimizer, half)
        self._checkpoint, self._stopping = Checkpoint(None), Stopping()
        self._stepping = False

    def train(
        self,
        checkpoint: Checkpoint | None = None,
        stopping: Stopping | None = None,
        each_epoch: Callable[[list[dict]], None] = lambda history: None,
    ) -> Trained:
        """Train all epochs, or what a checkpoint leaves of them.

        Args:
            checkpoint: Where to go on from, and what is saved now and then.
            stopping: Says when to save and leave.
            each_epoch: Called with the history when an epoch ends.

        Raises:
            TrainingError: The loss is no longer finite, a batch does not fit into memory, or the
                checkpoint is another run's.
            LeaveNow: It was time to, and everything is saved.
        """
        self._checkpoint = checkpoint or self._checkpoint
        self._stopping = stopping or self._stopping
        progress = Progress(Selections(self.spec["selections"]), torch.Generator(self.device))
        snapshot = Snapshot(self.model, self.loss, self.optimizer, self.sampler, progress)
        if lost := unsaved(self.loss, self.sampler):
            log.warning(
                "no checkpoint holds %s: interrupted, this run may end otherwise", ", ".join(lost)
            )
        saved = self._checkpoint.load()
        if saved:
            snapshot.restore(saved)
            log.info("goes on in epoch %d after step %d", progress.epoch, progress.step)
        self._began = time.monotonic(), progress.epoch
        try:
            if not saved:
                with self._stopping.at_once():
                    self.begin()
            while progress.epoch <= self.recipe["epochs"]:
                self._epoch(progress, snapshot)
                each_epoch(progress.history)
        except LeaveNow:
            if progress.epoch > 1 or progress.step:
                self._checkpoint.save(snapshot.take())
            raise
        except DivergedError as error:
            where = self._checkpoint.save_beside("diverged", snapshot.take())
            raise DivergedError(f"{error}; the state is in {where}" if where else error) from None
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemoryError(self._too_large(error)) from None
        size = {"channels": self.reader.channels, "image_size": self.reader.size}
        history = pd.DataFrame(progress.history)
        facts = size, str(self.device), self._initial, self.data
        return Trained(progress.selections, history, *facts)

    def begin(self) -> None:
        """What a loss wants before the first step."""
        if self.loss.wants_class_means:
            images = self.images
            self.loss.start(class_means(self.model, self.reader, images.rows, images.labels))

    def _epoch(self, progress: Progress, snapshot: Snapshot) -> None:
        """One pass, or the rest of it, and what is measured after it."""
        epoch, epochs = progress.epoch, self.recipe["epochs"]
        if progress.record is None:
            progress.generator.manual_seed(derive_seed("choices", self.spec["seed"], epoch))
            progress.record = EpochRecord(self.spec["loss"]["name"], epoch, progress.last_values)
        self._stepping = True
        images = self._pass(progress, snapshot)
        self._stepping = False
        row = {
            "epoch": epoch,
            "steps": progress.step,
            **progress.record.row(),
            "seconds": progress.seconds,
        }
        row["images_per_second"] = images / progress.seconds
        if not all(p.isfinite().all() for p in self.model.parameters()):
            raise DivergedError(
                f"the loss '{self.spec['loss']['name']}' has made weights NaN or infinite in epoch "
                f"{epoch}; lower the learning rate"
            )
        measured = {}
        if epoch % self.recipe["monitor_every"] == 0 or epoch == epochs:
            with self._stopping.at_once():
                measured = {
                    name: monitor.measure(self.model, self.reader)
                    for name, monitor in self.images.monitors.items()
                }
            row |= {f"recall_at_1_{name}": value for name, value in measured.items()}
        progress.selections.update(epoch, self.model, measured)
        progress.end_epoch(row)
        began, first = self._began
        left = (time.monotonic() - began) / (epoch - first + 1) * (epochs - epoch)
        log.info("%s", _line(row, epochs, left))

    def _pass(self, progress: Progress, snapshot: Snapshot) -> int:
        """The steps of an epoch that are not done yet; returns how many images the epoch has."""
        epoch, first = progress.epoch, progress.step
        self.model.train()
        self.loss.train()
        batches = self.images.batches(epoch)
        rows = [self.images.rows[positions] for positions in batches]
        inputs = self.reader.batches(rows, self.images.crops(epoch), skip=first)
        what = f"epoch {epoch}/{self.recipe['epochs']}"
        with closing(inputs), counting(what, len(batches), "steps", first) as count:
            started = time.monotonic() - progress.seconds
            for positions, pixels in zip(batches[first:], inputs, strict=True):
                self._step(positions, pixels, progress)
                progress.step += 1
                progress.seconds = time.monotonic() - started
                count(1)
                if self._checkpoint.due:
                    progress.record.check()  # a state that holds NaN takes no good one's place
                    self._checkpoint.save(snapshot.take())
                self._stopping.check()
            wait_for(self.device)
            progress.seconds = time.monotonic() - started
        return sum(len(positions) for positions in batches)

    def _step(self, positions: np.ndarray, images: torch.Tensor, progress: Progress) -> None:
        """One step on the images at ``positions`` among the training images."""
        there = send(positions, self.device)
        labels, content = self._labels[there], self._content[there]
        self.step.take(images, labels, content, progress.generator, progress.record)

    def _too_large(self, error: BaseException) -> str:
        """What to say of a batch that does not fit into memory."""
        size = self.reader.size
        name = "this machine"
        if self.device.type == "cuda":
            total = torch.cuda.get_device_properties(self.device).total_memory / 2**30
            name = f"{torch.cuda.get_device_name(self.device)} with {total:.0f} GiB"
        if self._stepping:
            what = f"a batch of {self.recipe['batch_size']} images of {size} x {size} pixels"
            advice = "lower recipe.batch_size or image_size, or take precision: bfloat16"
        else:
            what, advice = "embedding images", "lower recipe.image_size, or take a larger machine"
        told = str(error).partition("\n")[0] or type(error).__name__
        return f"{what} does not fit into the memory of {name} ({told}); {advice}"


#: What PyTorch and the libraries below it say where they have no error of their own for this.
_MEMORY_MESSAGES = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "can't allocate memory",
    "not enough memory",
    "could not create a memory",
    "could not create a primitive",
    "std::bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(m in str(error) for m in _MEMORY_MESSAGES)


def _line(row: dict, epochs: int, left: float) -> str:
    recalls = [f"{k}={v:.3f}" for k, v in row.items() if k.startswith("recall")]
    speed = f"{row['images_per_second']:,.0f} images/s"
    parts = [f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.4f}", *recalls, speed]
    return ", ".join([*parts, f"{left:.0f} s left"])
