"""What a run trains on and is watched with: its images, in batches."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from dmlbench.config.dataset_facts import VALIDATION, Part
from dmlbench.data.dataset import Dataset
from dmlbench.data.features import FeatureReader
from dmlbench.data.reader import ImageReader
from dmlbench.data.splits import run_index
from dmlbench.data.store import ImageStore
from dmlbench.models.embedder import embed
from dmlbench.neighbours.knn import recall_at
from dmlbench.seeding import derive_seed
from dmlbench.training.enough import check_enough


class TrainingImages:
    """The training images of a run.

    Attributes:
        reader: Makes network input of all images.
        rows: N rows of the index, those trained on.
        label: The column of the index that their classes stand in.
        labels: Their N class numbers, 0 to ``classes`` - 1.
        index, content: The index with the run's splits; the image whose copy each row of it is.
        monitors: The parts that are measured after an epoch, by the selection that they decide.
    """

    def __init__(
        self,
        spec: dict,
        dataset: type[Dataset],
        store: ImageStore,
        device: torch.device,
        features: Path | None = None,
    ) -> None:
        """Split the images as a resolved run says (:meth:`dmlbench.config.Plan.spec`).

        ``features`` stand in the place of the images where the backbone is frozen.
        """
        recipe, self._seed = spec["recipe"], spec["seed"]
        self._size, self._per_class = recipe["batch_size"], spec["sampler"]["per_class"]
        self.reader: ImageReader | FeatureReader
        if features:
            self.reader = FeatureReader(features, store.index, device)
        else:
            self.reader = ImageReader(store, recipe, spec["threads"], device)
        self.label = label = dataset.facts.train_label
        self.index = run_index(store.index, recipe, dataset.name, label)
        self.rows = np.flatnonzero(self.index["split"] == "train")
        codes = self.index.loc[self.rows, label].astype("category").cat
        self.labels = codes.codes.to_numpy(dtype=np.int64)
        if recipe["labels"] == "shuffled":
            rng = np.random.default_rng(derive_seed("shuffled labels", self._seed))
            self.labels = rng.permutation(self.labels)
        self.classes = len(codes.categories)
        self.content = self.index["content"].to_numpy()
        parts = {"val": Part(VALIDATION, "", label), "test_max": dataset.facts.first_test()}
        self.monitors = {k: part for k, part in parts.items() if len(part.rows(self.index)) > 1}
        check_enough(self, spec, parts)

    @property
    def classes_in_batch(self) -> int | None:
        """The classes that each batch draws; None where images are drawn, whatever their class."""
        return self._per_class and self._size // self._per_class

    @property
    def steps(self) -> int:
        """The batches of each epoch."""
        return whole_batches(len(self.rows), self._size)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The batches of an epoch, as positions among the training images."""
        rng = self._stream("batches", epoch)
        if self._per_class is None:
            return list(shuffled_batches(self.labels, self._size, rng))
        return list(class_batches(self.labels, self._size, self._per_class, rng))

    def seeds(self, epoch: int, batches: list[np.ndarray]) -> list[np.ndarray]:
        """A seed for the random transforms of each image of an epoch's batches."""
        rng = self._stream("transforms", epoch)
        return [rng.integers(2**63, size=len(positions)) for positions in batches]

    def measure(self, model: torch.nn.Module) -> dict[str, float]:
        """Recall@1 of the model as it is on each monitor; NaN embeddings give NaN."""
        measured = {}
        for name, part in self.monitors.items():
            rows = part.rows(self.index)
            embeddings = embed(model, self.reader, rows)
            labels, ids = (self.index[column].to_numpy()[rows] for column in (part.label, "id"))
            whole = embeddings.isfinite().all()
            roles = part.roles(self.index)
            measured[name] = recall_at(embeddings, labels, ids, 1, roles) if whole else math.nan
        return measured

    def _stream(self, what: str, epoch: int) -> np.random.Generator:
        """A random stream that losses and choices of tuples share, to be compared in pairs."""
        seed = derive_seed(what, self._size, self._per_class, self._seed, epoch)
        return np.random.default_rng(seed)


def whole_batches(images: int, batch_size: int) -> int:
    """How many batches fit into a training set; one where it is smaller than that."""
    return max(1, images // batch_size)


def class_batches(
    labels: np.ndarray, batch_size: int, per_class: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The batches of one epoch: classes x images per class, drawn without replacement.

    Each batch draws ``batch_size // per_class`` distinct classes. Each class deals its images from
    a shuffled pack and shuffles anew only when fewer than ``per_class`` are left, so no image
    comes twice in a batch, nor a second time before (nearly) all others of its class came. A class
    with fewer images gives all it has, which makes the batch smaller. An epoch has as many whole
    batches as fit into the training set. A batch holds positions in ``labels``, in random order.
    """
    images = {value: np.flatnonzero(labels == value) for value in np.unique(labels)}
    packs = {value: rows[:0] for value, rows in images.items()}
    for _ in range(whole_batches(len(labels), batch_size)):
        batch = []
        for value in rng.choice(list(images), size=batch_size // per_class, replace=False):
            if len(packs[value]) < per_class:
                packs[value] = rng.permutation(images[value])
            dealt, packs[value] = np.split(packs[value], [per_class])
            batch.append(dealt)
        yield rng.permutation(np.concatenate(batch))


def shuffled_batches(
    labels: np.ndarray, batch_size: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The batches of one epoch for losses that need no positives: all images, shuffled.

    The last images that fill no batch wait for another epoch's order; a training set smaller than a
    batch is one batch. See :func:`class_batches`.
    """
    order = rng.permutation(len(labels))
    for number in range(whole_batches(len(labels), batch_size)):
        yield order[number * batch_size : (number + 1) * batch_size]
