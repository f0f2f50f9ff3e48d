"""Retrieval: Recall@K, R-precision, MAP@R and mean reciprocal rank. Every image is a query.

Neighbours are exact, ties go by the hash of the image id and the query is left out by its index
(:mod:`dmlbench.knn`). All are means over queries, each counting the same.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmlbench.knn import Gallery, hits
from dmlbench.progress import counting

#: Metrics here besides Recall@K, with what they are means over.
MEANS = ("r_precision", "map_at_r", "mrr")


@dataclass(frozen=True)
class Classes:
    """Who is of whose class, in the gallery's order.

    Attributes:
        labels: The class of each image, 0 .. C - 1.
        others: How many others are of its class: R.
        members: All images, class by class.
        starts: Where each class begins in ``members``.
    """

    labels: np.ndarray
    others: np.ndarray
    members: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> "Classes":
        """The classes of N labels of any type."""
        _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return cls(codes, counts[codes] - 1, np.argsort(codes, kind="stable"), starts)

    def pairs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each of ``rows`` (as its position there) with every other image of its class."""
        counts = self.others[rows] + 1
        position = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(position)) - np.repeat(np.cumsum(counts) - counts, counts)
        member = self.members[self.starts[self.labels[rows]][position] + within]
        different = member != rows[position]
        return position[different], member[different]


def retrieval(
    embeddings: Any,
    labels: np.ndarray,
    ids: np.ndarray,
    ks: list[int],
    means: tuple[str, ...] = MEANS,
    threads: int | None = None,
    gpu: bool = False,
) -> dict[str | int, float | None]:
    """Recall@K for every K of ``ks``, and the named means.

    - Recall@K: the share of queries with one of their class among their K nearest others (Jegou et
      al. 2011, as used in Song et al. 2016). A query that is alone in its class counts as missed.
    - R-precision: the share of its class among a query's R nearest, R = size of the class - 1.
    - MAP@R: the mean over the R nearest of (precision at i if the i-th is of the class, else 0)
      (Musgrave et al. 2020, section 3.3).
    - Mean reciprocal rank: 1 / rank of the nearest of the class, in the full ranking, not cut off.

    The last three leave out queries that are alone in their class.

    Args:
        embeddings: N x D, float32.
        labels: N class labels.
        ids: N distinct image ids.
        ks: The values of K; all fewer than N.
        means: Some of :data:`MEANS`.
        threads: See :meth:`dmlbench.knn.Gallery.search`.
        gpu: See :class:`dmlbench.knn.Gallery`.

    Returns:
        Shares in 0 .. 1 by K or name; None where every query is alone in its class.

    Raises:
        ValueError: A K is not in 1 .. N - 1, or an embedding is not finite.
    """
    gallery = Gallery(embeddings, ids, gpu)
    classes = Classes.of(np.asarray(labels)[gallery.order])
    deepest = [classes.others.max(initial=0)] if {"r_precision", "map_at_r"} & set(means) else []
    depth = int(max([*ks, *deepest, 1]))

    total = np.zeros(len(ks) + len(means))
    with counting("neighbours", len(gallery), "images") as count:
        for rows, found in gallery.search(depth, threads):
            total += block_sums(gallery, classes, rows, found, ks, means)
            count(len(rows))
    queries = int((classes.others > 0).sum())
    recalls = dict(zip(ks, (total[: len(ks)] / len(gallery)).tolist(), strict=True))
    others = [value / queries if queries else None for value in total[len(ks) :].tolist()]
    return {**recalls, **dict(zip(means, others, strict=True))}


def block_sums(
    gallery: Gallery,
    classes: Classes,
    rows: np.ndarray,
    found: np.ndarray,
    ks: list[int],
    means: tuple[str, ...],
) -> np.ndarray:
    """Each metric summed over a block of queries."""
    relevant = classes.labels[found] == classes.labels[rows, None]
    others = classes.others[rows]
    sums = [float(hits(relevant, k).sum()) for k in ks]
    paired = others > 0
    depth = relevant.shape[1]
    inside = relevant & (np.arange(depth) < others[:, None])
    for name in means:
        if name == "r_precision":
            values = inside.sum(axis=1)[paired] / others[paired]
        elif name == "map_at_r":
            precision = np.cumsum(inside, axis=1) / np.arange(1, depth + 1)
            values = (precision * inside).sum(axis=1)[paired] / others[paired]
        else:
            values = 1 / _first_ranks(gallery, classes, rows[paired], relevant[paired])
        sums.append(values.sum())
    return np.array(sums)


def _first_ranks(
    gallery: Gallery, classes: Classes, rows: np.ndarray, relevant: np.ndarray
) -> np.ndarray:
    """The rank, from 1, of the nearest image of each query's class."""
    ranks = relevant.argmax(axis=1) + 1
    far = np.flatnonzero(~relevant.any(axis=1))
    if len(far):
        query, member = classes.pairs(rows[far])
        distance = gallery.distances(rows[far][query], member)
        by = np.lexsort((member, distance, query))
        nearest = member[by][np.searchsorted(query, np.arange(len(far)))]
        ranks[far] = gallery.ranks(rows[far], nearest)
    return ranks
