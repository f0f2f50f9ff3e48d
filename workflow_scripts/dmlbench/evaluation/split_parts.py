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
    """The parts, and each place of one by every coarse label (the keys of ``sub_labels``).

    Training sees the coarse label where tests may only measure the finer one; classes collapse by
    the coarse one.
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
    """The embeddings of one selection in a run's folder, and the run's index."""

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
        place = pd.Index(ids).get_indexer(mine)
        if (place < 0).any():
            raise DataError(f"{self.folder}: embeddings of {part.split} lack images; embed again")
        return vectors[place], mine, self.labels(part, part.label)

    def labels(self, part: Part, column: str) -> np.ndarray:
        """The class numbers of a part by a label column."""
        codes = self.index[column].astype("category").cat.codes.to_numpy()
        return codes[part.rows(self.index)]
