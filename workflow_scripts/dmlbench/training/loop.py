"""Training one run."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from dmlbench.data.dataset import Dataset
from dmlbench.data.reader import ImageReader
from dmlbench.data.splits import run_index, validation_mask
from dmlbench.data.store import ImageStore
from dmlbench.losses.build import build_loss
from dmlbench.models.embedder import Embedder
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.batches import class_batches, shuffled_batches
from dmlbench.samplers.sampler import build_sampler
from dmlbench.seeding import derive_seed
from dmlbench.training.class_means import class_means
from dmlbench.training.determinism import make_deterministic, pick_device, seed_everything
from dmlbench.training.epoch import EpochRecord
from dmlbench.training.monitors import Monitor, Selections
from dmlbench.training.optimizer import build_optimizer

log = logging.getLogger(__name__)


@dataclass
class Trained:
    """What a run leaves.

    Attributes:
        selections: The kept weights.
        history: One row per epoch.
        input: Channels and size that the model was built for.
        device: Where it was trained.
    """

    selections: Selections
    history: pd.DataFrame
    input: dict[str, int]
    device: str


class Trainer:
    """One run: the model, its loss and sampler, and the images they see."""

    def __init__(self, spec: dict, dataset: type[Dataset], store: ImageStore) -> None:
        """Build everything from a resolved run (:meth:`dmlbench.config.Plan.spec`)."""
        make_deterministic(spec["threads"])
        self.spec, self.recipe = spec, spec["recipe"]
        self.device = pick_device(self.recipe["device"])
        self.reader = ImageReader(store, self.recipe, spec["threads"])
        index = run_index(store.index, self.recipe["test_fold"])
        held_out = validation_mask(
            index, dataset.train_label, self.recipe["validation"], dataset.name
        )
        self.rows = np.flatnonzero((index["split"] == "train").to_numpy() & ~held_out)
        codes = index.loc[self.rows, dataset.train_label].astype("category").cat
        self.labels = codes.codes.to_numpy(dtype=np.int64)
        self.content = index["content"].to_numpy()
        self.monitors = _monitors(index, held_out, dataset)
        seed_everything(derive_seed("initial weights", self.recipe["backbone"], spec["seed"]))
        self.model = Embedder(self.recipe, self.reader.channels, self.reader.size).to(self.device)
        self.loss = build_loss(
            spec["loss"], len(codes.categories), self.recipe["embedding_dim"]
        ).to(self.device)
        if self.loss.wants_class_means:
            self.loss.start(
                class_means(self.model, self.reader, self.rows, self.labels, self.device)
            )
        self.sampler = build_sampler(spec["sampler"])
        self.optimizer = build_optimizer(self.recipe["optimizer"], self.model, self.loss)

    def train(self) -> Trained:
        """Train all epochs.

        Raises:
            TrainingError: The loss is no longer finite.
        """
        epochs = self.recipe["epochs"]
        selections = Selections(self.spec["selections"])
        history, started = [], time.monotonic()
        last_values: list[float] = []
        for epoch in range(1, epochs + 1):
            record = EpochRecord(self.spec["loss"]["name"], epoch, last_values)
            row = {"epoch": epoch, **self._epoch(epoch, record)}
            last_values = record.last_values()
            if epoch % self.recipe["monitor_every"] == 0 or epoch == epochs:
                measured = {
                    name: monitor.measure(self.model, self.reader, self.device)
                    for name, monitor in self.monitors.items()
                }
                row |= {f"recall_at_1_{name}": value for name, value in measured.items()}
                selections.update(epoch, self.model, measured)
            else:
                selections.update(epoch, self.model, {})
            history.append(row)
            left = (time.monotonic() - started) / epoch * (epochs - epoch)
            log.info("%s, %.0f s left", _line(row, epochs), left)
        size = {"channels": self.reader.channels, "image_size": self.reader.size}
        return Trained(selections, pd.DataFrame(history), size, str(self.device))

    def _epoch(self, epoch: int, record: EpochRecord) -> dict:
        """One pass; returns the epoch's row of the history."""
        generator = torch.Generator(self.device)
        generator.manual_seed(derive_seed("choices", self.spec["seed"], epoch))
        self.model.train()
        self.loss.train()
        started, images = time.monotonic(), 0
        batches = list(self._batches(epoch))
        rows = [self.rows[positions] for positions in batches]
        crops = np.random.default_rng(derive_seed("crops", *self._data_axes(epoch)))
        with closing(self.reader.batches(rows, self.device, crops)) as inputs:
            for positions, pixels in zip(batches, inputs, strict=True):
                images += len(positions)
                self._step(positions, pixels, generator, record)
        row = record.row()
        seconds = time.monotonic() - started
        return row | {"seconds": seconds, "images_per_second": images / seconds}

    def _batches(self, epoch: int) -> Iterator[np.ndarray]:
        """The batches of an epoch, as positions among the training images."""
        size, per_class = self.recipe["batch_size"], self.spec["sampler"]["per_class"]
        rng = np.random.default_rng(derive_seed("batches", *self._data_axes(epoch)))
        if per_class is None:
            return shuffled_batches(self.labels, size, rng)
        return class_batches(self.labels, size, per_class, rng)

    def _data_axes(self, epoch: int) -> tuple:
        """What the order of the data and its crops depend on.

        Neither loss nor choices: methods that compose their batches alike see the same batches,
        and are compared in pairs.
        """
        return (
            self.recipe["batch_size"], self.spec["sampler"]["per_class"], self.spec["seed"], epoch
        )  # fmt: skip

    def _step(
        self,
        positions: np.ndarray,
        images: torch.Tensor,
        generator: torch.Generator,
        record: EpochRecord,
    ) -> None:
        """One optimiser step on the images at ``positions`` among the training images."""
        labels = torch.from_numpy(self.labels[positions]).to(self.device)
        content = torch.from_numpy(self.content[self.rows[positions]]).to(self.device)
        half = self.recipe["precision"] == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            embeddings = self.model(images)
            batch = Batch.of(embeddings, labels, content, generator)
            tuples = self.sampler(batch) if self.sampler else None
            result = self.loss(batch, tuples)
        self.optimizer.zero_grad(set_to_none=True)
        result.value.backward()
        self.optimizer.step()
        record.add(batch, result)


def _monitors(
    index: pd.DataFrame, held_out: np.ndarray, dataset: type[Dataset]
) -> dict[str, Monitor]:
    """The validation images by training label, and the first test evaluation of the dataset."""
    split, subset, label = next(e for e in dataset.evaluations if e[0] == "test")
    test = (index["split"] == split) & ((index["subset"] == subset) | (subset == ""))
    wanted = {"val": (held_out, dataset.train_label), "test_max": (test.to_numpy(), label)}
    return {
        name: Monitor(
            np.flatnonzero(mask),
            index.loc[mask, column].to_numpy(),
            index.loc[mask, "id"].to_numpy(),
        )
        for name, (mask, column) in wanted.items()
        if mask.sum() > 1
    }


def _line(row: dict, epochs: int) -> str:
    recalls = [f"{k}={v:.3f}" for k, v in row.items() if k.startswith("recall")]
    speed = f"{row['images_per_second']:,.0f} images/s"
    return ", ".join([f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.4f}", *recalls, speed])
