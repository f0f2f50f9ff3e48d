"""Exact nearest neighbours with a written tie rule; used by training monitors and evaluation.

Neighbours are ordered by (distance, tie key). The tie key is a hash of the image id: with row
order instead, a collapsed embedding of a dataset sorted by class would score far above chance.
"""

import numpy as np

#: Candidates kept beyond the k asked for, before exact distances decide.
PADDING = 16
#: Queries whose distances are in memory at once.
BLOCK = 512


def tie_keys(ids: np.ndarray) -> np.ndarray:
    """A well-mixed 64-bit number for each id (the finaliser of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def nearest_neighbours(embeddings: np.ndarray, ids: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` nearest other rows of every row, by Euclidean distance.

    The row itself is left out by its index, never by dropping the first column: where two rows
    coincide, the first column need not be the row itself.

    Args:
        embeddings: N x D, float32.
        ids: N distinct image ids.
        k: How many; fewer than N.

    Returns:
        N x k row numbers, nearest first.

    Raises:
        ValueError: ``k`` is not in 1 .. N - 1, or an embedding is not finite.
    """
    count = len(embeddings)
    if not 1 <= k < count:
        raise ValueError(f"k must be in 1 .. {count - 1} (the other rows), got {k}")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings hold NaN or infinity")
    order = np.argsort(tie_keys(ids), kind="stable")
    points = embeddings[order].astype(np.float64)
    points -= points.mean(axis=0)  # shorter vectors, smaller rounding errors
    found = np.empty((count, k), dtype=np.int64)
    for start in range(0, count, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        found[rows] = _block(points, rows, k)
    result = np.empty_like(found)
    result[order] = order[found]
    return result


def _block(points: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Neighbours of some rows; ties go to the lower row number."""
    norms = np.einsum("ij,ij->i", points, points)
    approximate = norms[rows, None] + norms[None, :] - 2 * points[rows] @ points.T
    approximate[np.arange(len(rows)), rows] = np.inf
    width = min(k + PADDING, len(points) - 1)
    candidates = np.argpartition(approximate, width - 1, axis=1)[:, :width]
    candidates.sort(axis=1)  # so that a stable sort breaks ties by row number
    exact = np.square(points[rows, None, :] - points[candidates]).sum(axis=2)
    best = np.argsort(exact, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(candidates, best, axis=1)
    if width == len(points) - 1:
        return found
    # A row is settled when its k-th neighbour is nearer than anything that is no candidate.
    farthest = np.take_along_axis(approximate, candidates, axis=1).max(axis=1)
    kth = np.take_along_axis(exact, best[:, -1:], axis=1)[:, 0]
    rounding = 64 * np.finfo(np.float64).eps * (norms[rows] + norms.max())
    for place in np.flatnonzero(kth >= farthest - rounding):
        full = np.square(points[rows[place]] - points).sum(axis=1)
        full[rows[place]] = np.inf
        found[place] = np.argsort(full, kind="stable")[:k]
    return found


def recall_at(
    embeddings: np.ndarray, labels: np.ndarray, ids: np.ndarray, ks: list[int]
) -> dict[int, float]:
    """Recall@K: the share of images with one of their class among their K nearest others.

    Jegou et al. 2011, as used in Song et al. 2016: every image is a query, all others are the
    gallery. An image that is alone in its class counts as missed.

    Args:
        embeddings: N x D, float32.
        labels: N class labels.
        ids: N distinct image ids.
        ks: The values of K; all fewer than N.

    Returns:
        A share in 0 .. 1 for each K.
    """
    found = labels[nearest_neighbours(embeddings, ids, max(ks))] == labels[:, None]  # N x K
    return {k: float(found[:, :k].any(axis=1).mean()) for k in ks}
