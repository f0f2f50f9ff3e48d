"""Training one run: everything that decides its result."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import torch

from dmlbench.data.dataset import Dataset
from dmlbench.data.reader import send
from dmlbench.data.store import ImageStore, content_hash
from dmlbench.errors import DivergedError, LeaveNow
from dmlbench.losses.building import build_loss
from dmlbench.models.embedder import Embedder, class_means
from dmlbench.progress import counting
from dmlbench.seeding import derive_seed
from dmlbench.training.assembly import build_step
from dmlbench.training.checkpoint import Checkpoint
from dmlbench.training.device import (
    make_deterministic,
    memory_for,
    memory_to_embed,
    pick_device,
    seed_everything,
)
from dmlbench.training.freezing import Freezing
from dmlbench.training.optimization import network_rate
from dmlbench.training.snapshot import Progress, Selections, restore, take, unsaved
from dmlbench.training.step import EpochRecord
from dmlbench.training.stopping import Stopping
from dmlbench.training.training_images import TrainingImages

log = logging.getLogger(__name__)


class Trainer:
    """One run: the model, its loss and sampler, and the images they see. It trains once.

    ``data`` and ``initial_weights`` are the hashes of the dataset and of the model at the start.
    """

    def __init__(
        self, spec: dict, dataset: type[Dataset], store: ImageStore, features: Path | None = None
    ) -> None:
        """Build everything from a resolved run (:meth:`dmlbench.config.Plan.spec`).

        ``features`` are those of a frozen backbone, which is then not built.
        """
        make_deterministic(spec["threads"])
        self.spec, self.recipe = spec, spec["recipe"]
        self.device = pick_device(self.recipe["device"])
        self.data = content_hash(store.index)
        self.images = TrainingImages(spec, dataset, store, self.device, features)
        self.reader = self.images.reader
        self._labels = send(self.images.labels, self.device)
        self._content = send(self.images.content[self.images.rows], self.device)
        seed_everything(derive_seed("initial weights", self.recipe["backbone"], spec["seed"]))
        self.model = Embedder(self.recipe, **self.reader.input).to(self.device)
        if self.device.type == "cuda":
            self.model = self.model.to(memory_format=torch.channels_last)
        loss = build_loss(spec["loss"], self.images.classes, self.recipe["embedding_dim"])
        if loss.wants_features:
            loss.take_features(self.model.num_features)
        self.loss = loss.to(self.device)
        frozen, warmup = self.recipe["freeze"], self.recipe["warmup_head_epochs"]
        self._freezing = Freezing(self.model, frozen, warmup)
        self.step = build_step(spec, self.model, self.loss, self._freezing, self.images)
        self.progress = Progress(Selections(spec["selections"]), torch.Generator(self.device))
        self.initial_weights = self.model.sha256()
        parameters = self.model.named_parameters()
        self._first = {name: p.detach().to("cpu", copy=True) for name, p in parameters}
        self._checkpoint, self._stopping = Checkpoint(None), Stopping()

    def train(
        self,
        checkpoint: Checkpoint | None = None,
        stopping: Stopping | None = None,
        epoch_ended: Callable[[list[dict]], None] = lambda history: None,
    ) -> Progress:
        """Train all epochs, or what a checkpoint leaves; return the history and the kept weights.

        Args:
            checkpoint: What it goes on from, and where it saves; None keeps nothing.
            stopping, epoch_ended: Says when to leave; is called with the rows of finished epochs.

        Raises:
            TrainingError: The loss is no longer finite, or a batch does not fit into memory.
            LeaveNow: It was time to, and everything is saved.
        """
        self._checkpoint = checkpoint or self._checkpoint
        self._stopping = stopping or self._stopping
        if lost := unsaved(self.loss, self.step.sampler):
            log.warning(
                "no checkpoint holds %s: if interrupted, this run may end differently",
                ", ".join(lost),
            )
        size, pixels = self.recipe["batch_size"], self.reader.size
        batch = f"a batch of {size} images of {pixels} x {pixels} pixels"
        remedy = "lower recipe.batch_size or image_size, or take precision: bfloat16, or chunk"
        try:
            with memory_for(batch, self.device, remedy):
                self._epochs(epoch_ended)
        except LeaveNow:
            if self.progress.epoch > 1 or self.progress.step:
                self._checkpoint.save(take(self.step, self.progress))
            raise
        except DivergedError as error:
            where = self._checkpoint.save_diverged(take(self.step, self.progress))
            raise DivergedError(f"{error}; the state is in {where}" if where else error) from None
        return self.progress

    def moved(self) -> float:
        """By how much the kept weights, of any selection, differ from those at the start.

        It is the length of the difference of all parameters over theirs at the start. What batch
        norm has counted is left out: it changes without any learning.
        """
        length = _length(self._first.values())
        far = max(
            _length(weights[name].double() - first.double() for name, first in self._first.items())
            for weights in self.progress.selections.weights.values()
        )
        return far / length

    @contextmanager
    def _embedding(self) -> Iterator[None]:
        """Where many images are embedded, which takes long and changes nothing."""
        with memory_to_embed(self.reader.size, self.device), self._stopping.at_once():
            yield

    def begin(self) -> None:
        """What a loss wants before the first step."""
        if self.loss.wants_class_means:
            images = self.images
            self.loss.start(class_means(self.model, self.reader, images.rows, images.labels))

    def _epochs(self, epoch_ended: Callable[[list[dict]], None]) -> None:
        """All epochs, or the rest of them."""
        progress = self.progress
        if saved := self._checkpoint.load():
            restore(self.step, progress, saved)
            log.info("goes on in epoch %d after step %d", progress.epoch, progress.step)
        else:
            with self._embedding():
                self.begin()
        began, first, epochs = time.monotonic(), progress.epoch, self.recipe["epochs"]
        while progress.epoch <= epochs:
            row = self._epoch()
            done = progress.epoch - first
            left = (time.monotonic() - began) / done * (epochs + 1 - progress.epoch)
            words = [f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.4f}"]
            words += [f"{k}={v:.3f}" for k, v in row.items() if k.startswith("recall")]
            words += [f"{row['images_per_second']:,.0f} images/s", f"{left:.0f} s left"]
            log.info("%s", ", ".join(words))
            epoch_ended(progress.history)

    def _epoch(self) -> dict:
        """One pass, or the rest of it, and its measurements: the row of the history."""
        progress, epochs = self.progress, self.recipe["epochs"]
        epoch, name = progress.epoch, self.spec["loss"]["name"]
        if progress.record is None:
            progress.generator.manual_seed(derive_seed("choices", self.spec["seed"], epoch))
            progress.record = EpochRecord(name, epoch, progress.last_values)
        images = self._pass()
        row = {"epoch": epoch, "steps": progress.step, **progress.record.row()}
        row |= {"seconds": progress.seconds, "images_per_second": images / progress.seconds}
        if not all(p.isfinite().all() for p in self.model.parameters()):
            raise DivergedError(
                f"the loss '{name}' has made weights NaN or infinite in epoch {epoch}; lower the "
                "learning rate"
            )
        measured = {}
        if epoch % self.recipe["monitor_every"] == 0 or epoch == epochs:
            with self._embedding():
                measured = self.images.measure(self.step.kept)
            row |= {f"recall_at_1_{selection}": value for selection, value in measured.items()}
        if self.step.rates:
            row["lr"] = network_rate(self.step.optimizer)
            self.step.rates.epoch_ended()
        progress.selections.update(epoch, self.step.kept, measured)
        progress.history.append(row)
        progress.last_values = progress.record.read[-3:]
        progress.epoch, progress.step, progress.seconds, progress.record = epoch + 1, 0, 0.0, None
        return row

    def _pass(self) -> int:
        """The steps of an epoch that are not done yet; returns how many images the epoch has."""
        progress, images = self.progress, self.images
        epoch, first = progress.epoch, progress.step
        self._freezing.train(epoch)
        self.loss.train()
        batches = images.batches(epoch)
        rows = [images.rows[positions] for positions in batches[first:]]
        inputs = self.reader.batches(rows, images.seeds(epoch, batches)[first:])
        what = f"epoch {epoch}/{self.recipe['epochs']}"
        with closing(inputs), counting(what, len(batches), "steps", first) as count:
            started = time.monotonic() - progress.seconds
            for positions, pixels in zip(batches[first:], inputs, strict=True):
                there = send(positions, self.device)
                labels, content = self._labels[there], self._content[there]
                self.step.take(pixels, labels, content, progress.generator, progress.record)
                progress.step += 1
                progress.seconds = time.monotonic() - started
                count(1)
                if self._checkpoint.due:
                    progress.record.check()  # a state with NaN must not replace a good one
                    self._checkpoint.save(take(self.step, self.progress))
                self._stopping.check()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            progress.seconds = time.monotonic() - started
        return sum(len(positions) for positions in batches)


def _length(tensors: Iterable[torch.Tensor]) -> float:
    return math.hypot(*(float(tensor.double().norm()) for tensor in tensors))
