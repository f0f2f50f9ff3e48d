"""Class collapse: how much of what differs within a class is left in the embedding."""

import numpy as np
from threadpoolctl import threadpool_limits

from dmlbench.evaluation.metric import Measure, Metric, Sample, register_metric, row
from dmlbench.losses.decidability import Moments
from dmlbench.neighbours.knn import nearest_neighbours, tie_keys

#: Images that count for the modes of a larger class: those with the lowest tie keys.
SAMPLE = 512
_LONE = "no two images of one class, or one class only"


@register_metric(
    "collapse",
    measures={
        "variance_ratio": Measure("variance within / all", decimals=3, scale=1.0),
        "d_prime_of_all": Measure("d\N{PRIME}", low=-np.inf, high=np.inf, scale=1.0, decimals=2),
        "modes_per_class": Measure("modes per class", low=1.0, high=np.inf, scale=1.0),
        "same_sub_label": Measure("same finer label"),
        "same_sub_label_chance": Measure("same finer label by chance"),
    },
    coarse_too=True,
)
class Collapse(Metric):
    """What is left of the differences within classes: variance, d', modes and finer labels."""

    # Sums over another number of threads differ in the last digit.
    @threadpool_limits.wrap(limits=1, user_api="blas")
    def rows(self, sample: Sample) -> list[dict]:
        embeddings, labels, ids = sample.embeddings, sample.labels, sample.ids
        pairs, d_prime, modes = moments(embeddings, labels), None, None
        if pairs is not None:
            modes = modes_per_class(embeddings, labels, ids, float(-pairs.impostor_mean))
            d_prime = float(pairs.decidability()) if pairs.spread > 0 else None
        same = _LONE if pairs is None else "similarities do not vary"
        ratio, none = variance_ratio(embeddings, labels), "all images have one embedding"
        rows = [
            row("variance_ratio", 0, ratio, "within classes / all", none),
            row(
                "d_prime_of_all",
                0,
                d_prime,
                "similarity: minus squared distance; all pairs",
                same,
            ),
            row("modes_per_class", 0, modes, "Vendi score", _LONE),
        ]
        if sample.sub_labels is not None:
            found = same_sub_label(embeddings, labels, sample.sub_labels, ids, sample.threads)
            share, chance = found or (None, None)
            note = "nearest neighbour within the class"
            rows.append(row("same_sub_label", 1, share, note, _LONE))
            note = "sub-labels at random in classes"
            rows.append(row("same_sub_label_chance", 1, chance, note))
        return rows


def _classes(labels: np.ndarray) -> list[np.ndarray]:
    """The rows of each class."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])


def _centred(points: np.ndarray) -> np.ndarray:
    points = points.astype(np.float64)
    return points - points.mean(axis=0)


def variance_ratio(embeddings: np.ndarray, labels: np.ndarray) -> float | None:
    """Variance within classes / variance of all: tr S_W / tr S_T of Fisher's scatter matrices.

    0 where every class lies on one point, 1 where classes have one mean, None where all images
    coincide.
    """
    points = _centred(embeddings)
    total = np.square(points).sum()
    within = sum(np.square(_centred(points[rows])).sum() for rows in _classes(labels))
    return float(within / total) if total > 0 else None


def moments(embeddings: np.ndarray, labels: np.ndarray) -> Moments | None:
    """Means and variances of the similarity of all genuine and all impostor pairs.

    The similarity is minus the squared distance, as in verification. Sums over all pairs follow
    from sums over images, so that N x D x D operations do for N x N pairs. With a = |x|^2:
    sum of d^2 = 2 n sum(a) - 2 |sum(x)|^2, and
    sum of d^4 = 2 n sum(a^2) + 2 sum(a)^2 - 8 sum(a x) . sum(x) + 4 |X^T X|^2.

    None where there is no genuine or no impostor pair.
    """
    all_sums = _pair_sums(_centred(embeddings))
    genuine = sum(_pair_sums(_centred(embeddings[rows])) for rows in _classes(labels))
    impostor = all_sums - genuine
    if genuine[0] < 1 or impostor[0] < 1:
        return None
    parts = []
    for pairs, first, second in (genuine, impostor):
        mean = first / pairs
        variance = second / pairs - mean * mean
        # Less is what rounding leaves of nothing.
        parts += [-mean, variance if variance > 1e-12 * mean * mean else 0.0]
    return Moments(*parts)


def _pair_sums(points: np.ndarray) -> np.ndarray:
    """Number of ordered pairs of different rows, and the sums of their d^2 and d^4."""
    count, lengths = len(points), np.square(points).sum(axis=1)
    gram = points.T @ points if points.shape[1] < count else points @ points.T
    total = points.sum(axis=0)
    first = 2 * count * lengths.sum() - 2 * total @ total
    second = 2 * count * np.square(lengths).sum() + 2 * lengths.sum() ** 2
    second += 4 * np.square(gram).sum() - 8 * (lengths @ points) @ total
    return np.array([count * (count - 1), max(first, 0.0), max(second, 0.0)])


def modes_per_class(
    embeddings: np.ndarray, labels: np.ndarray, ids: np.ndarray, apart: float
) -> float | None:
    """The effective number of modes of a class: its Vendi score, averaged over classes.

    Friedman and Dieng 2023: exp of the entropy of the eigenvalues of K / n, where K holds the
    similarities of the class's n images, here exp(-4 d^2 / ``apart``). A class on one point has one
    mode; m equal groups as far from one another as classes are have m (K is then 0.02 between
    them); images that all lie so far apart have n.

    ``ids`` choose a sample of a large class; ``apart`` is the mean squared distance of images of
    different classes. Classes of two images or more count, each the same; None without one.
    """
    keys, scores = tie_keys(ids), []
    for rows in _classes(labels):
        if len(rows) < 2:
            continue
        rows = rows[np.argsort(keys[rows], kind="stable")][:SAMPLE]
        points = _centred(embeddings[rows])
        lengths = np.square(points).sum(axis=1)
        distances = np.maximum(lengths[:, None] + lengths - 2 * points @ points.T, 0)
        np.fill_diagonal(distances, 0)
        alike = np.exp(-4 * distances / apart) if apart > 0 else np.ones_like(distances)
        shares = np.linalg.eigvalsh(alike / len(rows))
        shares = shares[shares > 0]
        scores.append(np.exp(-(shares * np.log(shares)).sum()))
    return float(np.mean(scores)) if scores else None


def same_sub_label(
    embeddings: np.ndarray,
    labels: np.ndarray,
    sub_labels: np.ndarray,
    ids: np.ndarray,
    threads: int | None = None,
) -> tuple[float, float] | None:
    """The share of images whose nearest neighbour within their class has their sub-label.

    EPS asks this of digits (sub-labels) within even and odd (labels that training saw). Only the
    image's own class is searched, so the share says nothing about how well classes are told apart.

    Returns the share, and the share for sub-labels spread at random within classes. An image alone
    in its class is left out; None where all are.
    """
    found, chance = [], []
    for rows in _classes(labels):
        if len(rows) < 2:
            continue
        mine = sub_labels[rows]
        nearest = nearest_neighbours(embeddings[rows], ids[rows], 1, threads)[:, 0]
        found.append(mine[nearest] == mine)
        _, codes, counts = np.unique(mine, return_inverse=True, return_counts=True)
        chance.append((counts[codes] - 1) / (len(rows) - 1))
    if not found:
        return None
    return float(np.concatenate(found).mean()), float(np.concatenate(chance).mean())
