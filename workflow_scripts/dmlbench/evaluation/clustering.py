"""Normalised mutual information of k-means clusters and class labels."""

import numpy as np

from dmlbench.errors import DataError


def nmi(
    embeddings: np.ndarray, labels: np.ndarray, clusters: int, seeds: list[int]
) -> dict[str, float]:
    """NMI of the labels and a k-means clustering, averaged over k-means seeds.

    EPS, section 5: ``clusters`` = number of classes gives NMI, a multiple of it NMI+. The
    averaging of the two entropies matters for NMI+ (1.4 points at ten clusters per class), so
    both conventions are returned; tables show the arithmetic one, scikit-learn's default.

    Engine: faiss on the CPU in one thread, k-means++ start, 50 iterations.

    Args:
        embeddings: N x D, float32.
        labels: N class labels.
        clusters: Number of clusters, at most N.
        seeds: One k-means for each.

    Returns:
        ``arithmetic``, ``geometric`` and ``spread``, the standard deviation of the arithmetic one
        over the seeds (0 for one seed).

    Raises:
        DataError: There are more clusters than images.
    """
    from sklearn.metrics import normalized_mutual_info_score

    if clusters > len(embeddings):
        raise DataError(
            f"k-means with {clusters} clusters needs as many images, there are {len(embeddings)}; "
            "lower evaluation.nmi_plus"
        )
    scores = {"arithmetic": [], "geometric": []}
    for seed in seeds:
        assigned = kmeans(embeddings, clusters, seed)
        for average, values in scores.items():
            values.append(normalized_mutual_info_score(labels, assigned, average_method=average))
    return {
        "arithmetic": float(np.mean(scores["arithmetic"])),
        "geometric": float(np.mean(scores["geometric"])),
        "spread": float(np.std(scores["arithmetic"])),
    }


def kmeans(embeddings: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """The cluster number of every row, the same for the same input on the same machine."""
    import faiss

    faiss.omp_set_num_threads(1)
    points = np.ascontiguousarray(embeddings, dtype=np.float32)
    engine = faiss.Clustering(points.shape[1], clusters)
    engine.seed = seed
    engine.niter = 50
    engine.init_method = faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS
    engine.min_points_per_centroid = 1  # only silences a warning
    engine.max_points_per_centroid = len(points)  # all points, no random subset
    index = faiss.IndexFlatL2(points.shape[1])
    engine.train(points, index)
    return index.search(points, 1)[1][:, 0]
