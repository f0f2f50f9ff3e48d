"""Mutual information of k-means clusters and class labels: NMI, NMI+ and AMI."""

import numpy as np

from dmlbench.errors import DataError
from dmlbench.knn import load_faiss


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


def mutual_information(
    labels: np.ndarray, assigned: list[np.ndarray], adjusted: bool = False
) -> dict[str, float]:
    """NMI of labels and clusterings, or AMI: adjusted for chance (Vinh et al. 2010).

    EPS, section 5: as many clusters as classes give NMI, a multiple of it NMI+. How the two
    entropies are averaged matters for NMI+ (1.4 points at ten clusters per class), so both
    conventions are returned; tables show the arithmetic one, scikit-learn's default.

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

    faiss computes |x|^2 - 2 x.y + |y|^2 in float32. Of a nearly collapsed embedding, points that
    lie close together far from 0, that leaves nothing but rounding; and it ends the process where
    squares overflow.
    """
    points = embeddings - embeddings.mean(axis=0, dtype=np.float64)
    _, exponent = np.frexp(np.abs(points).max(initial=0.0))
    return np.ldexp(points, -exponent).astype(np.float32)
