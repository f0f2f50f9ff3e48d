"""All metrics of one run, in long form."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dmlbench.errors import DataError
from dmlbench.evaluation.clustering import nmi
from dmlbench.neighbours import recall_at


@dataclass(frozen=True)
class Part:
    """What is measured by itself: a split, a named part of it (or all of it) and a label column."""

    split: str
    subset: str
    label: str

    def rows(self, index: pd.DataFrame) -> np.ndarray:
        """The rows of the index that belong to it."""
        mask = index["split"] == self.split
        if self.subset:
            mask &= index["subset"] == self.subset
        return np.flatnonzero(mask.to_numpy())


def measure(
    embeddings: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
    settings: dict,
    clusters_per_class: int | None,
) -> list[dict]:
    """Recall@K, NMI and NMI+ of one set of embeddings.

    Args:
        embeddings: N x D, float32.
        labels: N class labels.
        ids: N image ids.
        settings: The config's ``evaluation`` section.
        clusters_per_class: Of NMI+; None leaves it out.

    Returns:
        Rows with metric, k (of Recall@K, or the number of clusters), value and note. Values are
        shares in 0 .. 1.

    Raises:
        DataError: An embedding is not finite, or there are too few images.
    """
    if not np.isfinite(embeddings).all():
        raise DataError("the embeddings hold NaN or infinity: the run diverged")
    ks = [k for k in settings["recall_at"] if k < len(ids)]
    if len(ks) < len(settings["recall_at"]):
        raise DataError(f"recall_at has a K that is not below the number of images, {len(ids)}")
    recalls = recall_at(embeddings, labels, ids, ks)
    rows = [_row("recall", k, value, "self left out by index") for k, value in recalls.items()]
    classes = len(np.unique(labels))
    clusterings = {"nmi": classes}
    if clusters_per_class is not None:
        clusterings["nmi_plus"] = classes * clusters_per_class
    for metric, clusters in clusterings.items():
        scores = nmi(embeddings, labels, clusters, settings["kmeans_seeds"])
        rows.append(_row(metric, clusters, scores["arithmetic"], "arithmetic, mean over k-means"))
        rows.append(_row(f"{metric}_geometric", clusters, scores["geometric"], "geometric"))
        rows.append(_row(f"{metric}_spread", clusters, scores["spread"], "sd over k-means seeds"))
    return rows


def _row(metric: str, k: int, value: float, note: str) -> dict:
    return {"metric": metric, "k": k, "value": value, "note": note}
