"""Embeddings that lie on one point: what differs by rounding alone does not differ.

A network that has collapsed gives every image the same vector, up to the last digits of float32.
Whatever is scaled by its spread (t-SNE, d', k-means, the axes of a figure) would show these digits.
"""

import numpy as np

#: What rounding may leave of differences in a network's output, as a share of its largest number.
ROUNDING = 1e-5


def on_one_point(embeddings: np.ndarray) -> bool:
    """Whether all embeddings (N x D) differ by rounding alone."""
    if not len(embeddings):
        return False
    spread = np.abs(embeddings.astype(np.float64) - embeddings[0]).max()
    return bool(spread <= ROUNDING * np.abs(embeddings).max())


def without_rounding(embeddings: np.ndarray) -> np.ndarray:
    """The embeddings (N x D); each is the first one where all differ by rounding alone."""
    if not on_one_point(embeddings):
        return embeddings
    return np.repeat(embeddings[:1], len(embeddings), axis=0)


def points_of(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points that embeddings (N x D, finite) lie on, and each one's place among them.

    Two embeddings lie on one point where rounding alone tells them apart, or either from a third.
    Points are in the order of their first embeddings. Compares all pairs: N is some thousands.
    """
    from sklearn.cluster import DBSCAN

    exact, place = np.unique(embeddings, axis=0, return_inverse=True)
    reach = max(ROUNDING * np.abs(embeddings).max(), np.finfo(np.float64).tiny)
    points = exact.astype(np.float64)
    groups = DBSCAN(eps=reach, min_samples=1).fit_predict(points - points.mean(axis=0))
    number = groups[place.reshape(-1)]
    _, first = np.unique(number, return_index=True)
    order = np.argsort(first)
    return embeddings[first[order]], np.argsort(order)[number]
