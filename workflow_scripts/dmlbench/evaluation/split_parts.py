"""Parts of a dataset that are measured by themselves: a split, a part of it and a label column."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config.dataset_facts import Part
from dmlbench.data.splits import VALIDATION
from dmlbench.errors import DataError
from dmlbench.evaluation.embeddings import load_embeddings


def with_coarse_labels(parts: list[Part], sub_labels: dict[str, str]) -> list[Part]:
    """The parts, and each place of one by every coarse label.

    Training sees the coarse label where tests may only measure the finer one; classes collapse by
    the coarse one.

    Args:
        parts: What is evaluated.
        sub_labels: Of each coarse label column the finer one.
    """
    coarse = [Part(p.split, p.subset, label) for p in parts for label in sub_labels]
    return list(dict.fromkeys([*parts, *coarse]))


def part_counts(part: Part, index: pd.DataFrame) -> dict:
    """What a checker must know of one evaluated part of a run's index.

    Returns:
        The part, with ``queries`` (every image is one), ``gallery`` (what a query is searched in:
        the others), ``held_out`` (training images left out of it, kept for validation),
        ``classes``, ``trained_classes`` (those of them that training images have) and ``chance``,
        the Recall@1 that neighbours drawn at random would have.
    """
    labels = index[part.label].iloc[part.rows(index)]
    sizes = labels.value_counts().to_numpy()
    trained = index.loc[index["split"] == "train", part.label]
    others = len(labels) - 1
    held_out = part._replace(split=VALIDATION) if part.split == "train" else None
    return {
        **part._asdict(),
        "queries": len(labels),
        "gallery": others,
        "held_out": len(held_out.rows(index)) if held_out else 0,
        "classes": len(sizes),
        "trained_classes": int(labels.drop_duplicates().isin(trained).sum()),
        "chance": float((sizes * (sizes - 1)).sum() / len(labels) / others),
    }


class StoredEmbeddings:
    """The embeddings of one run's selection.

    Args:
        folder: The run's folder.
        selection: Which weights.
        index: The index of the run.
    """

    def __init__(self, folder: Path, selection: str, index: pd.DataFrame) -> None:
        self.folder, self.selection, self.index = folder, selection, index
        self._load = cache(load_embeddings)

    def of(self, part: Part) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Embeddings (n x D), image ids and class numbers of a part.

        Raises:
            DataError: The embeddings are missing, damaged or lack an image.
        """
        vectors, ids = self._load(self.folder / paths.embeddings(part.split, self.selection))
        mine = self.index["id"].to_numpy()[part.rows(self.index)]
        if not set(mine) <= set(ids):
            raise DataError(f"{self.folder}: embeddings of {part.split} lack images; embed again")
        place = pd.Series(np.arange(len(ids)), index=ids)
        labels = self.labels(part, part.label)
        assert labels is not None
        return vectors[place[mine]], mine, labels

    def labels(self, part: Part, column: str | None) -> np.ndarray | None:
        """The class numbers of a part by a label column; None for no column."""
        if column is None:
            return None
        codes = self.index[column].astype("category").cat.codes.to_numpy()
        return codes[part.rows(self.index)]


def vector_lengths(vectors: np.ndarray) -> dict:
    """Number, dimension and the shortest and longest of some embeddings (N x D)."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return {
        "vectors": len(vectors),
        "dimension": vectors.shape[1],
        "shortest": float(norms.min()),
        "longest": float(norms.max()),
    }
