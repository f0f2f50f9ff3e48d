"""Mutual information of k-means clusters and class labels: what NMI, NMI+ and AMI share."""

import numpy as np
from threadpoolctl import threadpool_limits

from dmlbench.errors import DataError
from dmlbench.evaluation.metric import Measure, Metric, Sample, row
from dmlbench.neighbours.faiss_loading import load_faiss


def measures(name: str, label: str, printed: bool, low: float = 0.0) -> dict[str, Measure]:
    """A score, the same with the geometric mean of entropies, and its spread over k-means."""
    return {
        name: Measure(label, printed, low),
        f"{name}_geometric": Measure(f"{label}, geometric", low=-np.inf if low else 0.0),
        f"{name}_spread": Measure(f"sd of {label} over k-means"),
    }


class MutualInformation(Metric):
    """The base of metrics of a clustering, by default with as many clusters as classes."""

    adjusted = False

    def per_class(self, sample: Sample) -> int | None:
        """Clusters for each class; None where the metric is not measured."""
        return 1

    def rows(self, sample: Sample) -> list[dict]:
        factor, classes = self.per_class(sample), int(sample.labels.max()) + 1
        if factor is None:
            return []
        clusters = classes * factor
        if not 1 < classes < len(sample.labels):
            none = "one class only" if classes < 2 else "every image is alone in its class"
            return [row(next(iter(self.measures)), clusters, None, none)]
        seeds, restarts = sample.settings.kmeans_seeds, sample.settings.kmeans_restarts
        assigned = sample.once(
            ("k-means", clusters),
            lambda: [kmeans(sample.embeddings, clusters, seed, restarts) for seed in seeds],
        )
        scores = mutual_information(sample.labels, assigned, self.adjusted)
        note = f"arithmetic, mean over {len(seeds)} k-means of {restarts} starts"
        note += "; of all images, queries and gallery" if sample.roles else ""
        notes = (note, "geometric", "sd over k-means seeds")
        stored = zip(self.measures, scores.values(), notes, strict=True)
        return [row(name, clusters, value, said) for name, value, said in stored]


def mutual_information(
    labels: np.ndarray, assigned: list[np.ndarray], adjusted: bool = False
) -> dict[str, float]:
    """NMI of N labels and of clusterings (N cluster numbers for each k-means seed), or AMI.

    How the two entropies are averaged matters for NMI+ (1.4 points at ten clusters per class), so
    there are both: ``arithmetic`` (scikit-learn's default) and ``geometric`` means over k-means
    seeds. ``spread`` is the standard deviation of the arithmetic one over seeds (0 for one seed).
    """
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

    score = adjusted_mutual_info_score if adjusted else normalized_mutual_info_score
    arithmetic, geometric = (
        [score(labels, clusters, average_method=average) for clusters in assigned]
        for average in ("arithmetic", "geometric")
    )
    return {
        "arithmetic": float(np.mean(arithmetic)),
        "geometric": float(np.mean(geometric)),
        "spread": float(np.std(arithmetic)),
    }


def kmeans(embeddings: np.ndarray, clusters: int, seed: int, restarts: int = 1) -> np.ndarray:
    """The cluster number of each embedding (N x D, float32), the same for the same input.

    faiss on the CPU in one thread, k-means++ starts, 50 iterations at most, all points; the best of
    ``restarts`` starts is kept. Points are centred and scaled to between -1 and 1, which changes
    no clustering but for rounding: faiss computes |x|^2 - 2 x.y + |y|^2 in float32. This gives only
    rounding errors where points lie close together far from 0, and faiss ends the process where
    squares overflow. More clusters than images are a DataError.
    """
    if clusters > len(embeddings):
        raise DataError(
            f"k-means with {clusters} clusters needs as many images, there are {len(embeddings)}; "
            "lower evaluation.nmi_plus"
        )
    points = embeddings - embeddings.mean(axis=0, dtype=np.float64)
    _, exponent = np.frexp(np.abs(points).max(initial=0.0))
    points = np.ldexp(points, -exponent).astype(np.float32)
    faiss = load_faiss()
    with threadpool_limits(1, user_api="openmp"):
        engine = faiss.Clustering(points.shape[1], clusters)
        engine.seed = seed
        engine.niter = 50
        engine.nredo = restarts
        engine.init_method = faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS
        engine.min_points_per_centroid = 1  # only silences a warning
        engine.max_points_per_centroid = len(points)  # all points, no random subset
        index = faiss.IndexFlatL2(points.shape[1])
        engine.train(points, index)
        return index.search(points, 1)[1][:, 0]
