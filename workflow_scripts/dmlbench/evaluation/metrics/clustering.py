"""Mutual information of k-means clusters and class labels: NMI, NMI+ and AMI."""

import numpy as np

from dmlbench.errors import DataError
from dmlbench.evaluation.metric import Measure, Metric, Sample, register_metric, row
from dmlbench.knn import load_faiss


def _measures(
    name: str, label: str, printed: bool = False, low: float = 0.0, high: float = 1.0
) -> dict[str, Measure]:
    """A score, the same with the geometric mean of entropies, and its spread over k-means."""
    return {
        name: Measure(label, printed, low),
        f"{name}_geometric": Measure(f"{label}, geometric", low=-np.inf if low else 0.0),
        f"{name}_spread": Measure(f"sd of {label} over k-means"),
    }


class ClusterMetric(Metric):
    """Mutual information of the classes and of k-means clusters, several for each class or one."""

    adjusted = False

    def per_class(self, sample: Sample) -> int | None:
        """Clusters for each class; None where the metric is not measured."""
        return 1

    def rows(self, sample: Sample) -> list[dict]:
        name, *more = self.measures
        factor, classes = self.per_class(sample), len(np.unique(sample.labels))
        if factor is None:
            return []
        clusters = classes * factor
        if not 1 < classes < len(sample.labels):
            none = "one class only" if classes < 2 else "every image is alone in its class"
            return [row(name, clusters, None, none)]
        seeds, restarts = sample.settings.kmeans_seeds, sample.settings.kmeans_restarts
        assigned = sample.once(
            ("k-means", clusters),
            lambda: clusterings(sample.embeddings, clusters, seeds, restarts),
        )
        scores = mutual_information(sample.labels, assigned, self.adjusted)
        note = f"arithmetic, mean over {len(seeds)} k-means of {restarts} starts"
        notes = (note, "geometric", "sd over k-means seeds")
        return [
            row(stored, clusters, value, said)
            for stored, value, said in zip((name, *more), scores.values(), notes, strict=True)
        ]


@register_metric("nmi", measures=_measures("nmi", "NMI", printed=True))
class NMI(ClusterMetric):
    """Normalised mutual information with as many clusters as classes (EPS, section 5)."""


@register_metric("nmi_plus", measures=_measures("nmi_plus", "NMI+", printed=True))
class NMIPlus(ClusterMetric):
    """NMI with several clusters for each class (EPS, section 5)."""

    def per_class(self, sample: Sample) -> int | None:
        return sample.settings.nmi_plus_of(sample.label)


@register_metric("ami", measures=_measures("ami", "AMI", low=-1.0))
class AMI(ClusterMetric):
    """Mutual information adjusted for chance (Vinh et al. 2010)."""

    adjusted = True


def mutual_information(
    labels: np.ndarray, assigned: list[np.ndarray], adjusted: bool = False
) -> dict[str, float]:
    """NMI of labels and clusterings, or AMI.

    How the two entropies are averaged matters for NMI+ (1.4 points at ten clusters per class), so
    both conventions are returned; tables show the arithmetic one, scikit-learn's default.

    Args:
        labels: N class labels.
        assigned: N cluster numbers for each k-means seed.
        adjusted: AMI instead of NMI.

    Returns:
        ``arithmetic`` and ``geometric``, means over k-means seeds, and ``spread``, the standard
        deviation of the arithmetic one over them (0 for one seed).
    """
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

    score = adjusted_mutual_info_score if adjusted else normalized_mutual_info_score
    values = {
        average: [score(labels, clusters, average_method=average) for clusters in assigned]
        for average in ("arithmetic", "geometric")
    }
    return {
        **{average: float(np.mean(scores)) for average, scores in values.items()},
        "spread": float(np.std(values["arithmetic"])),
    }


def clusterings(
    embeddings: np.ndarray, clusters: int, seeds: list[int], restarts: int
) -> list[np.ndarray]:
    """One k-means clustering for each seed: the cluster number of every image.

    Args:
        embeddings: N x D, float32.
        clusters: Number of clusters, at most N.
        seeds: One k-means for each.
        restarts: Starts of each k-means; the one with the smallest sum of squares is kept.

    Raises:
        DataError: There are more clusters than images.
    """
    if clusters > len(embeddings):
        raise DataError(
            f"k-means with {clusters} clusters needs as many images, there are {len(embeddings)}; "
            "lower evaluation.nmi_plus"
        )
    return [kmeans(embeddings, clusters, seed, restarts) for seed in seeds]


def kmeans(embeddings: np.ndarray, clusters: int, seed: int, restarts: int = 1) -> np.ndarray:
    """The cluster number of every row, the same for the same input on the same machine.

    faiss on the CPU in one thread, k-means++ starts, 50 iterations at most, all points, centred
    and scaled.
    """
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        points = _spread(embeddings)
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
    finally:
        faiss.omp_set_num_threads(before)


def _spread(embeddings: np.ndarray) -> np.ndarray:
    """The points around 0 and between -1 and 1, which changes no clustering but for rounding.

    faiss computes |x|^2 - 2 x.y + |y|^2 in float32. Where points lie close together far from 0,
    that leaves nothing but rounding; and it ends the process where squares overflow.
    """
    points = embeddings - embeddings.mean(axis=0, dtype=np.float64)
    _, exponent = np.frexp(np.abs(points).max(initial=0.0))
    return np.ldexp(points, -exponent).astype(np.float32)
