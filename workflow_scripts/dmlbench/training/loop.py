"""Training one run."""

import logging
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from dmlbench.data.dataset import Dataset
from dmlbench.data.reader import ImageReader
from dmlbench.data.splits import validation_mask
from dmlbench.data.store import ImageStore
from dmlbench.errors import TrainingError
from dmlbench.losses.base import TripletLoss, build_loss
from dmlbench.models.embedder import Embedder
from dmlbench.samplers.batches import class_batches
from dmlbench.samplers.sampler import TripletSampler
from dmlbench.seeding import derive_seed
from dmlbench.training.determinism import make_deterministic, pick_device
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
        self.reader = ImageReader(store, self.recipe["image_size"], self.recipe["invert"])
        index = store.index
        held_out = validation_mask(
            index, dataset.train_label, self.recipe["validation"], dataset.name
        )
        self.rows = np.flatnonzero((index["split"] == "train").to_numpy() & ~held_out)
        codes = index.loc[self.rows, dataset.train_label].astype("category").cat
        self.labels = codes.codes.to_numpy(dtype=np.int64)
        self.content = index["content"].to_numpy()
        self.monitors = _monitors(index, held_out, dataset)
        torch.manual_seed(derive_seed("initial weights", self.recipe["backbone"], spec["seed"]))
        self.model = Embedder(self.recipe, self.reader.channels, self.reader.size).to(self.device)
        self.loss: TripletLoss = build_loss(
            spec["loss"], len(codes.categories), self.recipe["embedding_dim"]
        ).to(self.device)
        self.sampler = TripletSampler.from_spec(spec["sampler"])
        self.optimizer = build_optimizer(self.recipe["optimizer"], self.model, self.loss)

    def train(self) -> Trained:
        """Train all epochs.

        Raises:
            TrainingError: The loss is no longer finite.
        """
        epochs = self.recipe["epochs"]
        selections = Selections(self.spec["selections"])
        history, started = [], time.monotonic()
        for epoch in range(1, epochs + 1):
            row = {"epoch": epoch, **self._epoch(epoch)}
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

    def _epoch(self, epoch: int) -> dict:
        """One pass; returns the epoch's means for the history."""
        recipe, spec = self.recipe, self.spec
        per_class = spec["sampler"]["per_class"]
        # The order of the data depends on neither loss nor choices: methods that compose their
        # batches alike see the same batches, and are compared in pairs.
        order = derive_seed("batches", recipe["batch_size"], per_class, spec["seed"], epoch)
        generator = torch.Generator(self.device)
        generator.manual_seed(derive_seed("choices", spec["seed"], epoch))
        self.model.train()
        self.loss.train()
        started, images, sums = time.monotonic(), 0, []
        for batch in class_batches(
            self.labels, recipe["batch_size"], per_class, np.random.default_rng(order)
        ):
            images += len(batch)
            sums.append(self._step(batch, generator))
        mean_loss, candidates, active = torch.stack(sums).mean(dim=0).tolist()
        if not np.isfinite(mean_loss):
            raise TrainingError(
                f"the loss is no longer finite in epoch {epoch}; lower the learning rate"
            )
        seconds = time.monotonic() - started
        return {
            "loss": mean_loss,
            "positives_per_anchor": candidates,
            "active_tuples": active,
            "seconds": seconds,
            "images_per_second": images / seconds,
        }

    def _step(self, batch: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        """One optimiser step; returns loss, positives per anchor and active terms."""
        rows = self.rows[batch]
        labels = torch.from_numpy(self.labels[batch]).to(self.device)
        content = torch.from_numpy(self.content[rows]).to(self.device)
        embeddings = self.model(self.reader.batch(torch.from_numpy(rows), self.device))
        triplets, candidates = self.sampler(embeddings, labels, content, generator)
        value, active = self.loss(embeddings, labels, triplets)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.optimizer.step()
        return torch.stack([value.detach(), candidates.float().mean(), active.float()])


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
