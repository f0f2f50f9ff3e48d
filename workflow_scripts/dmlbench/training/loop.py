"""Training one run: everything that decides its result."""

import logging
import time
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from dmlbench.data.dataset import Dataset
from dmlbench.data.reader import send
from dmlbench.data.store import ImageStore, content_hash
from dmlbench.errors import DivergedError, LeaveNow, OutOfMemoryError
from dmlbench.losses.build import build_loss
from dmlbench.models.embed import class_means
from dmlbench.models.embedder import Embedder
from dmlbench.samplers.sampler import build_sampler
from dmlbench.seeding import derive_seed
from dmlbench.training.device import (
    is_out_of_memory,
    make_deterministic,
    out_of_memory_message,
    pick_device,
    seed_everything,
    wait_for,
)
from dmlbench.training.diagnostics import EpochRecord
from dmlbench.training.hooks import Hooks
from dmlbench.training.monitors import Selections
from dmlbench.training.snapshot import Progress, Snapshot, unsaved
from dmlbench.training.step import Step, build_optimizer
from dmlbench.training.training_images import TrainingImages

log = logging.getLogger(__name__)


@dataclass
class Trained:
    """What a run leaves: the kept weights, and a row per epoch.

    ``input`` has the channels and size that the model was built for; ``initial_weights`` is the
    hash of its weights before the first step, ``data`` that of the dataset.
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
        self._hooks = Hooks()
        self._stepping = False

    def train(self, hooks: Hooks | None = None) -> Trained:
        """Train all epochs, or what a saved state leaves of them.

        Args:
            hooks: The process around the training: what it goes on from, when it saves and leaves.

        Raises:
            TrainingError: The loss is no longer finite, or a batch does not fit into memory.
            LeaveNow: It was time to, and everything is saved.
        """
        self._hooks = hooks or self._hooks
        progress = Progress(Selections(self.spec["selections"]), torch.Generator(self.device))
        snapshot = Snapshot(self.model, self.loss, self.optimizer, self.sampler, progress)
        if lost := unsaved(self.loss, self.sampler):
            log.warning(
                "no checkpoint holds %s: interrupted, this run may end otherwise", ", ".join(lost)
            )
        try:
            self._epochs(progress, snapshot)
        except LeaveNow:
            if progress.epoch > 1 or progress.step:
                self._hooks.save(snapshot.take())
            raise
        except DivergedError as error:
            where = self._hooks.save_diverged(snapshot.take())
            raise DivergedError(f"{error}; the state is in {where}" if where else error) from None
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemoryError(self._too_large(error)) from None
        return Trained(
            progress.selections,
            history=pd.DataFrame(progress.history),
            input={"channels": self.reader.channels, "image_size": self.reader.size},
            device=str(self.device),
            initial_weights=self._initial,
            data=self.data,
        )

    def begin(self) -> None:
        """What a loss wants before the first step."""
        if self.loss.wants_class_means:
            images = self.images
            self.loss.start(class_means(self.model, self.reader, images.rows, images.labels))

    def _epochs(self, progress: Progress, snapshot: Snapshot) -> None:
        """All epochs, or the rest of them."""
        if saved := self._hooks.load():
            snapshot.restore(saved)
            log.info("goes on in epoch %d after step %d", progress.epoch, progress.step)
        else:
            with self._hooks.at_once():
                self.begin()
        began, first, epochs = time.monotonic(), progress.epoch, self.recipe["epochs"]
        while progress.epoch <= epochs:
            row = self._epoch(progress, snapshot)
            done = progress.epoch - first
            left = (time.monotonic() - began) / done * (epochs + 1 - progress.epoch)
            log.info("%s", _line(row, epochs, left))
            self._hooks.epoch_ended(progress.history)

    def _epoch(self, progress: Progress, snapshot: Snapshot) -> dict:
        """One pass, or the rest of it, and its measurements: the row of the history."""
        epoch, epochs = progress.epoch, self.recipe["epochs"]
        if progress.record is None:
            progress.generator.manual_seed(derive_seed("choices", self.spec["seed"], epoch))
            progress.record = EpochRecord(self.spec["loss"]["name"], epoch, progress.last_values)
        self._stepping = True
        images = self._pass(progress, snapshot)
        self._stepping = False
        row = {"epoch": epoch, "steps": progress.step, **progress.record.row()}
        row |= {"seconds": progress.seconds, "images_per_second": images / progress.seconds}
        if not all(p.isfinite().all() for p in self.model.parameters()):
            raise DivergedError(
                f"the loss '{self.spec['loss']['name']}' has made weights NaN or infinite in epoch "
                f"{epoch}; lower the learning rate"
            )
        measured = {}
        if epoch % self.recipe["monitor_every"] == 0 or epoch == epochs:
            with self._hooks.at_once():
                measured = {
                    name: monitor.measure(self.model, self.reader)
                    for name, monitor in self.images.monitors.items()
                }
            row |= {f"recall_at_1_{name}": value for name, value in measured.items()}
        progress.selections.update(epoch, self.model, measured)
        progress.end_epoch(row)
        return row

    def _pass(self, progress: Progress, snapshot: Snapshot) -> int:
        """The steps of an epoch that are not done yet; returns how many images the epoch has."""
        epoch, first = progress.epoch, progress.step
        self.model.train()
        self.loss.train()
        batches = self.images.batches(epoch)
        rows = [self.images.rows[positions] for positions in batches[first:]]
        inputs = self.reader.batches(rows, self.images.seeds(epoch, batches)[first:])
        what = f"epoch {epoch}/{self.recipe['epochs']}"
        with closing(inputs), self._hooks.counting(what, len(batches), first) as count:
            started = time.monotonic() - progress.seconds
            for positions, pixels in zip(batches[first:], inputs, strict=True):
                self._step(positions, pixels, progress)
                progress.step += 1
                progress.seconds = time.monotonic() - started
                count(1)
                if self._hooks.save_is_due():
                    progress.record.check()  # a state that holds NaN takes no good one's place
                    self._hooks.save(snapshot.take())
                self._hooks.check()
            wait_for(self.device)
            progress.seconds = time.monotonic() - started
        return sum(len(positions) for positions in batches)

    def _step(self, positions: np.ndarray, images: torch.Tensor, progress: Progress) -> None:
        """One step on the images at ``positions`` among the training images."""
        there = send(positions, self.device)
        labels, content = self._labels[there], self._content[there]
        self.step.take(images, labels, content, progress.generator, progress.record)

    def _too_large(self, error: BaseException) -> str:
        """What to say where memory is used up."""
        if not self._stepping:
            told = out_of_memory_message("embedding images", self.device, error)
            return f"{told}; lower recipe.image_size, or take a larger machine"
        size = self.reader.size
        what = f"a batch of {self.recipe['batch_size']} images of {size} x {size} pixels"
        told = out_of_memory_message(what, self.device, error)
        return f"{told}; lower recipe.batch_size or image_size, or take precision: bfloat16"


def _line(row: dict, epochs: int, left: float) -> str:
    recalls = [f"{k}={v:.3f}" for k, v in row.items() if k.startswith("recall")]
    speed = f"{row['images_per_second']:,.0f} images/s"
    parts = [f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.4f}", *recalls, speed]
    return ", ".join([*parts, f"{left:.0f} s left"])
