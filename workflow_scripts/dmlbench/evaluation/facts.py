"""What a checker must know of the images and vectors that were measured."""

import numpy as np
import pandas as pd

from dmlbench.data.splits import VALIDATION
from dmlbench.evaluation.parts import Part


def part_facts(part: Part, index: pd.DataFrame) -> dict:
    """Counts of one evaluated part of a run's index.

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


def vector_facts(vectors: np.ndarray) -> dict:
    """Number, dimension and the shortest and longest of some embeddings (N x D)."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return {
        "vectors": len(vectors),
        "dimension": vectors.shape[1],
        "shortest": float(norms.min()),
        "longest": float(norms.max()),
    }
