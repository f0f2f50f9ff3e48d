"""What is measured by itself, and its embeddings as they are stored."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config.dataset_facts import Part
from dmlbench.errors import DataError
from dmlbench.evaluation.embeddings import load_embeddings


def collapse_parts(parts: list[Part], sub_labels: dict[str, str]) -> list[Part]:
    """The parts to look for collapse in: all, and each place of one by every coarse label.

    Training sees the coarse label and tests may only measure the finer one; classes collapse by the
    coarse one.

    Args:
        parts: What is evaluated.
        sub_labels: Of each coarse label column the finer one.
    """
    coarse = [Part(p.split, p.subset, label) for p in parts for label in sub_labels]
    return list(dict.fromkeys([*parts, *coarse]))


class Stored:
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
