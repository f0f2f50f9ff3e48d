"""Stored embeddings: writing them, reading them, and taking the part to measure."""

import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.errors import DataError
from dmlbench.evaluation.split_parts import Part
from dmlbench.files import replacing


def save_embeddings(path: Path, embeddings: np.ndarray, ids: np.ndarray) -> None:
    """Write embeddings (N x D, float32) and their image ids."""
    with replacing(path) as temporary:
        np.savez(temporary, embeddings=embeddings.astype(np.float32), ids=ids)


def load_embeddings(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings and image ids.

    Raises:
        DataError: The file is missing or damaged.
    """
    try:
        with np.load(path) as stored:
            embeddings, ids = stored["embeddings"], stored["ids"]
        if embeddings.ndim != 2 or ids.shape != embeddings.shape[:1]:
            raise ValueError(f"shapes {embeddings.shape} and {ids.shape} do not fit")
        return embeddings, ids
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: no readable embeddings ({error}); embed the run again") from None


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
