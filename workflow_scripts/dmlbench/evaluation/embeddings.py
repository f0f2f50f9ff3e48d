"""Stored embeddings: writing and reading them."""

import zipfile
from pathlib import Path

import numpy as np

from dmlbench.errors import DataError
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
