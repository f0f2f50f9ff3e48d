"""Stored embeddings: writing and reading them."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.errors import DataError
from dmlbench.files import replacing


def images_of_files(
    index: pd.DataFrame, splits: list[str], pairs: Path | None
) -> dict[str, np.ndarray]:
    """The rows of a run's index that each file of embeddings holds.

    One file for every split; where there is a table of ``pairs``, only one: of what it names.
    """
    if pairs:
        named = np.unique(pd.read_parquet(pairs, columns=["left", "right"]))
        return {paths.OF_PAIRS: np.flatnonzero(index["id"].isin(named))}
    return {split: np.flatnonzero(index["split"] == split) for split in splits}


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
