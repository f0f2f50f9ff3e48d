"""All metrics of one part of a run's images, in long form."""

import numpy as np
from threadpoolctl import threadpool_limits

from dmlbench.errors import DataError
from dmlbench.evaluation import collapse
from dmlbench.evaluation.clustering import clusterings, mutual_information
from dmlbench.evaluation.retrieval import MEANS, retrieval
from dmlbench.knn import tie_keys

_NOTES = {
    "recall": "self left out by index; who is alone in a class counts as missed",
    "r_precision": "mean over images not alone in their class",
    "map_at_r": "mean over images not alone in their class",
    "mrr": "full ranking; mean over images not alone in their class",
}


def row(metric: str, k: int, value: float | None, note: str) -> dict:
    """One row of the long form; ``value`` is None where the metric is not defined, and why."""
    return {"metric": metric, "k": k, "value": value, "note": note}


def in_order(ids: np.ndarray, *columns: np.ndarray | None) -> list[np.ndarray | None]:
    """Columns sorted by tie key, so that the order of the rows changes no metric.

    k-means starts from points by their place, and sums round by it.
    """
    order = np.argsort(tie_keys(ids), kind="stable")
    return [column if column is None else column[order] for column in columns]


def measure(
    embeddings: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
    settings: dict,
    clusters_per_class: int | None,
    threads: int | None = None,
    gpu: bool = False,
) -> list[dict]:
    """Retrieval and clustering of one set of embeddings.

    Args:
        embeddings: N x D, float32.
        labels: N class labels.
        ids: N image ids.
        settings: The config's ``evaluation`` section.
        clusters_per_class: Of NMI+; None leaves it out.
        threads: Of the search for neighbours.
        gpu: Search on the GPU if there is one. Neither changes a result.

    Returns:
        Rows with metric, k (of Recall@K, or the number of clusters, else 0), value and note. Values
        are shares in 0 .. 1.

    Raises:
        DataError: An embedding is not finite, or there are too few images.
    """
    if not np.isfinite(embeddings).all():
        raise DataError("the embeddings hold NaN or infinity: the run diverged")
    embeddings, labels, ids = in_order(ids, embeddings, labels, ids)
    metrics = settings["metrics"]
    ks = settings["recall_at"] if "recall" in metrics else []
    if ks and max(ks) >= len(ids):
        raise DataError(f"recall_at has a K that is not below the number of images, {len(ids)}")
    rows = []
    means = tuple(name for name in MEANS if name in metrics)
    if ks or means:
        for name, value in retrieval(embeddings, labels, ids, ks, means, threads, gpu).items():
            metric, k = ("recall", name) if isinstance(name, int) else (name, 0)
            note = _NOTES[metric] if value is not None else "every image is alone in its class"
            rows.append(row(metric, k, value, note))
    return rows + _clustering(embeddings, labels, settings, clusters_per_class)


def _clustering(
    embeddings: np.ndarray, labels: np.ndarray, settings: dict, clusters_per_class: int | None
) -> list[dict]:
    classes = len(np.unique(labels))
    factors = {1: ["nmi", "ami"], clusters_per_class: ["nmi_plus"]}
    rows = []
    for factor, names in factors.items():
        wanted = [name for name in names if name in settings["metrics"]]
        if not wanted or factor is None:
            continue
        clusters = classes * factor
        if not 1 < classes < len(labels):
            none = "one class only" if classes < 2 else "every image is alone in its class"
            rows += [row(name, clusters, None, none) for name in wanted]
            continue
        seeds, restarts = settings["kmeans_seeds"], settings["kmeans_restarts"]
        assigned = clusterings(embeddings, clusters, seeds, restarts)
        for name in wanted:
            scores = mutual_information(labels, assigned, adjusted=name == "ami")
            note = f"arithmetic, mean over {len(seeds)} k-means of {restarts} starts"
            rows.append(row(name, clusters, scores["arithmetic"], note))
            rows.append(row(f"{name}_geometric", clusters, scores["geometric"], "geometric"))
            rows.append(row(f"{name}_spread", clusters, scores["spread"], "sd over k-means seeds"))
    return rows


# Sums over another number of threads differ in the last digit.
@threadpool_limits.wrap(limits=1, user_api="blas")
def measure_collapse(
    embeddings: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
    sub_labels: np.ndarray | None = None,
    threads: int | None = None,
) -> list[dict]:
    """What :mod:`dmlbench.evaluation.collapse` measures, of one set of embeddings.

    Args:
        embeddings: N x D, float32.
        labels: N class labels.
        ids: N image ids.
        sub_labels: N finer labels; None where there are none.
        threads: Of searches; changes no result.
    """
    embeddings, labels, sub_labels, ids = in_order(ids, embeddings, labels, sub_labels, ids)
    ratio = collapse.variance_ratio(embeddings, labels)
    same = "all images have one embedding"
    rows = [row("variance_ratio", 0, ratio, "within classes / all" if ratio is not None else same)]
    pairs = collapse.moments(embeddings, labels)
    lone = "no two images of one class, or one class only"
    d_prime, modes = None, None
    if pairs is not None:
        modes = collapse.modes_per_class(embeddings, labels, ids, float(-pairs.impostor_mean))
        d_prime = float(pairs.decidability()) if pairs.spread > 0 else None
    note = "similarity: minus squared distance; all pairs"
    none = lone if pairs is None else "similarities do not vary"
    rows.append(row("d_prime", 0, d_prime, note if d_prime is not None else none))
    rows.append(row("modes_per_class", 0, modes, "Vendi score" if modes is not None else lone))
    if sub_labels is not None:
        found = collapse.same_sub_label(embeddings, labels, sub_labels, ids, threads) or (
            None,
            None,
        )
        note = "nearest neighbour within the class" if found[0] is not None else lone
        rows.append(row("same_sub_label", 1, found[0], note))
        rows.append(row("same_sub_label_chance", 1, found[1], "sub-labels at random in classes"))
    return rows
