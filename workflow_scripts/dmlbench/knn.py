"""Exact nearest neighbours with a written tie rule; used by training monitors and evaluation.

The distance of two images is the float64 sum of the squared differences of their float32
embeddings. Neighbours are ordered by (distance, tie key), and the tie key is a hash of the image
id: with row order instead, a collapsed embedding of a dataset sorted by class would score far above
chance. All work is done in the order of tie keys, so that the order of the rows changes nothing.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dmlbench.exact import ExactDistances
from dmlbench.search import BLOCK, CROWD, ENTRIES, Points
from dmlbench.search_gpu import GpuPoints, as_array, on_gpu

#: Of more neighbours than this, the first products are in float64.
LONG = 256


def tie_keys(ids: np.ndarray) -> np.ndarray:
    """A well-mixed 64-bit number for each id (the finaliser of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@dataclass(frozen=True)
class Found:
    """The neighbours of some images, all as numbers in the gallery's order.

    Attributes:
        rows: The images, n numbers.
        neighbours: n x k, nearest first, themselves left out.
    """

    rows: np.ndarray
    neighbours: np.ndarray


class Gallery:
    """Embeddings to search among themselves.

    Args:
        embeddings: N x D, float32; a NumPy array, or a torch tensor on any device. Of a tensor on a
            GPU the products and the candidates are taken there.
        ids: N distinct image ids.

    Attributes:
        order: The row of the input at each place of the gallery, which is sorted by tie key.

    Raises:
        ValueError: An embedding is not finite.
    """

    def __init__(self, embeddings: Any, ids: np.ndarray) -> None:
        self.order = np.argsort(tie_keys(ids), kind="stable")
        self.source = as_array(embeddings)
        starts = range(0, len(self.source), ENTRIES)
        if not all(np.isfinite(self.source[i : i + ENTRIES]).all() for i in starts):
            raise ValueError("embeddings hold NaN or infinity")
        #: Squared distances of pairs of places in the gallery.
        self.distances = ExactDistances(self.source, self.order)
        if on_gpu(embeddings):
            self.points = GpuPoints(self.source, self.order, embeddings.device)
        else:
            self.points = Points(self.source, self.order, np.float32)

    def __len__(self) -> int:
        return len(self.order)

    def search(
        self, k: int, threads: int | None = None, use: Callable[[Found], Any] = lambda found: found
    ) -> Iterator[Any]:
        """The ``k`` nearest other images of every image, block by block.

        An image is left out by its number, never by dropping the first column: where two embeddings
        coincide, the first column need not be the image itself.

        Args:
            k: How many; fewer than N.
            threads: Blocks at a time; as many as there are processors when None. The result does
                not depend on it.
            use: What to make of a block on its thread, and to yield.

        Raises:
            ValueError: ``k`` is not in 1 .. N - 1.
        """
        if not 1 <= k < len(self):
            raise ValueError(f"k must be in 1 .. {len(self) - 1} (the other rows), got {k}")
        size = max(1, min(BLOCK, ENTRIES // k))
        blocks = [
            np.arange(start, min(start + size, len(self))) for start in range(0, len(self), size)
        ]
        return in_threads(lambda rows: use(Found(rows, self._neighbours(rows, k))), blocks, threads)

    def _neighbours(self, rows: np.ndarray, k: int) -> np.ndarray:
        # Long lists are so dense that float32 leaves most of them to exact distances.
        points = self.precise if k > LONG else self.points
        scores, found, given_up = points.candidates(rows, k + 1, 4 * k + CROWD)
        result = np.empty((len(rows), k), dtype=np.int64)
        kept = np.flatnonzero(~given_up)
        if len(kept):
            result[kept] = self._ordered(points, rows[kept], scores[kept], found[kept], k)
        # A crowd at one distance, such as a collapsed class: float64, a few rows at a time.
        close = np.flatnonzero(given_up)
        if len(close) and (few := self.distances.nearest_of_few(rows[close], k)) is not None:
            result[close] = few
            return result
        size = max(1, ENTRIES // len(self))
        for some in (close[i : i + size] for i in range(0, len(close), size)):
            scores, found, _ = self.precise.candidates(rows[some], k + 1, None)
            result[some] = self._by_distance(rows[some], scores, found, k)
        return result

    @cached_property
    def precise(self) -> Points:
        """The points in float64; made where float32 does not do."""
        return Points(self.source, self.order, np.float64)

    def _ordered(
        self, points: Points, rows: np.ndarray, scores: np.ndarray, found: np.ndarray, k: int
    ) -> np.ndarray:
        """The first k candidates in their true order.

        Sorted by score, neighbouring candidates that are closer than the errors form runs; within a
        run exact distances and tie keys decide, between runs the scores do.
        """
        scores = np.where(found == rows[:, None], -np.inf, scores)
        order = np.argsort(-scores, axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
        found = np.take_along_axis(found, order, axis=1)
        width = found.shape[1]
        with np.errstate(invalid="ignore"):  # of two that are not there
            close = scores[:, :-1] - scores[:, 1:] <= 3 * points.error[rows, None]
        linked = np.zeros(found.shape, dtype=bool)
        linked[:, 1:] = close
        run = np.cumsum(~linked, axis=1)
        unclear = linked.copy()
        unclear[:, :-1] |= close
        unclear &= run <= run[:, k - 1 : k]
        flat = np.flatnonzero(unclear)
        row, number = flat // width, found.ravel()[flat]
        exact = self.distances(rows[row], number)
        by = np.lexsort((number, exact, run.ravel()[flat], row))
        found.ravel()[flat] = number[by]
        return found[:, :k]

    def _by_distance(
        self, rows: np.ndarray, scores: np.ndarray, found: np.ndarray, k: int
    ) -> np.ndarray:
        """The first k candidates by exact distances of all; lists are in the order of ties."""
        flat = np.flatnonzero((scores > -np.inf) & (found != rows[:, None]))
        exact = np.full(found.shape, np.inf)
        row = flat // found.shape[1]
        exact.ravel()[flat] = self.distances(rows[row], found.ravel()[flat])
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(found, order, axis=1)

    def ranks(self, rows: np.ndarray, than: np.ndarray) -> np.ndarray:
        """The rank, from 1, of one other image among the neighbours of each of some images."""
        mine = self.distances(rows, than)

        def decide(row: np.ndarray, number: np.ndarray) -> np.ndarray:
            distance = self.distances(rows[row], number)
            tied = (distance == mine[row]) & (number < than[row])
            return (distance < mine[row]) | tied

        return 1 + self.points.closer(rows, than, decide)


def in_threads(work: Any, blocks: list, threads: int | None) -> Iterator[Any]:
    """``work`` of every block in order, some blocks at a time, each with BLAS on one thread."""
    from threadpoolctl import threadpool_limits

    threads = threads or processors()
    waiting: deque = deque()
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            waiting.append(pool.submit(work, block))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def nearest_neighbours(
    embeddings: Any, ids: np.ndarray, k: int, threads: int | None = None
) -> np.ndarray:
    """The ``k`` nearest other rows of every row, N x k row numbers, nearest first.

    Raises:
        ValueError: ``k`` is not in 1 .. N - 1, or an embedding is not finite.
    """
    gallery = Gallery(embeddings, ids)
    result = np.empty((len(gallery), k), dtype=np.int64)
    for found in gallery.search(k, threads):
        result[gallery.order[found.rows]] = gallery.order[found.neighbours]
    return result


def recall_at(
    embeddings: Any, labels: np.ndarray, ids: np.ndarray, ks: list[int], threads: int | None = None
) -> dict[int, float]:
    """Recall@K: the share of images with one of their class among their K nearest others.

    Jegou et al. 2011, as used in Song et al. 2016: every image is a query, all others are the
    gallery. An image that is alone in its class counts as missed.

    Args:
        embeddings: N x D, float32; a NumPy array, or a torch tensor on any device.
        labels: N class labels.
        ids: N distinct image ids.
        ks: The values of K; all fewer than N.
        threads: See :meth:`Gallery.search`.

    Returns:
        A share in 0 .. 1 for each K.
    """
    gallery = Gallery(embeddings, ids)
    labels = np.asarray(labels)[gallery.order]
    hits = dict.fromkeys(ks, 0)
    for found in gallery.search(max(ks), threads):
        relevant = labels[found.neighbours] == labels[found.rows, None]
        for k in ks:
            hits[k] += int(relevant[:, :k].any(axis=1).sum())
    return {k: count / len(gallery) for k, count in hits.items()}
