"""Candidates for nearest neighbours: float32 products, and a bound on how wrong they are.

The score of a gallery point y for a query q is q.y - |y|^2 / 2, which falls as the distance grows.
A score in floating point is off by ``error`` at most, so that everything within three errors of
the k-th best score (two, and one for rounding the threshold itself) holds the true k nearest.
What is so close that the bound cannot tell is left to :mod:`dmlbench.knn`.

The products go through NumPy's BLAS in blocks, one thread for each block, and candidates are those
above a threshold. Measured on 2 cores that is faster than faiss and than torch's topk (docs/speed).
"""

import threading
from collections.abc import Callable, Iterator

import numpy as np

#: Queries at a time; with TILE gallery points their scores take 16 MB.
BLOCK = 256
TILE = 16384
#: Bounded working memory: entries of candidate lists, and numbers of exact distances, at once.
ENTRIES = 2**20
#: More candidates than this beyond four times k: too close for this precision.
CROWD = 512


class Points:
    """Centred and scaled points in one precision.

    They are centred because shorter vectors have smaller rounding errors, and scaled by a power of
    two so that no product over- or underflows.

    Args:
        source: N x D, float32.
        order: The rows of ``source`` in the order of ties.
        dtype: ``np.float32`` or ``np.float64``.
    """

    def __init__(self, source: np.ndarray, order: np.ndarray, dtype: type) -> None:
        centre = np.zeros(source.shape[1])
        largest = 0.0
        for rows in chunks(order, source.shape[1]):
            block = source[rows].astype(np.float64)
            centre += block.sum(axis=0) / len(order)
            largest = max(largest, np.abs(block).max(initial=0.0))
        # A last column of -|y|^2 / 2, for queries that end in 1: the product is the score.
        self.values = np.empty((len(order), source.shape[1] + 1), dtype=dtype)
        norms = np.empty(len(order))
        _, exponent = np.frexp(2 * largest * np.sqrt(source.shape[1]) or 1.0)
        scale = np.ldexp(1.0, -int(exponent))
        at = 0
        for rows in chunks(order, source.shape[1]):
            block = (source[rows].astype(np.float64) - centre) * scale
            here = slice(at, at + len(rows))
            norms[here] = np.square(block).sum(axis=1)
            self.values[here, :-1], self.values[here, -1] = block, -norms[here] / 2
            at += len(rows)
        self.error = _error(np.sqrt(norms), source.shape[1], dtype)
        self.memory = threading.local()

    def __len__(self) -> int:
        return len(self.values)

    def queries(self, rows: np.ndarray) -> np.ndarray:
        """Some points as queries."""
        queries = self.values[rows]
        queries[:, -1] = 1
        return queries

    def candidates(
        self, rows: np.ndarray, wanted: int, limit: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Whatever may be among the ``wanted`` best of some rows, themselves included.

        Args:
            rows: Query numbers.
            wanted: How many; at most the number of points.
            limit: Rows with more candidates than this are given up; None for no limit.

        Returns:
            Scores (rows x width, -inf where there is none), point numbers, and which rows were
            given up.
        """
        queries = self.queries(rows)
        slack = 3 * self.error[rows].astype(self.values.dtype)
        threshold = np.full(len(rows), -np.inf, dtype=self.values.dtype)
        given_up = np.zeros(len(rows), dtype=bool)
        scores = np.empty((len(rows), 0), dtype=self.values.dtype)
        found = np.empty((len(rows), 0), dtype=np.int64)
        for start in range(0, len(self), TILE):
            tile = self._scores(queries, start)
            if start == 0 and tile.shape[1] >= wanted:
                threshold = _kth_best(tile, wanted)
            flat = np.flatnonzero(tile >= (threshold - slack)[:, None])
            if limit is not None and len(flat) > limit:
                row = flat // tile.shape[1]
                given_up |= np.bincount(row, minlength=len(rows)) > limit
                flat = flat[~given_up[row]]
                threshold[given_up] = np.inf
            places, more = _dense(flat, tile)
            scores = np.concatenate([scores, more], axis=1)
            found = np.concatenate([found, places + start], axis=1)
            if start + TILE < len(self) and scores.shape[1] >= wanted:
                at = scores.shape[1] - wanted
                threshold = np.partition(scores, at, axis=1)[:, at]
                threshold[given_up] = np.inf
                scores[scores < (threshold - slack)[:, None]] = -np.inf
                scores, found = _packed(scores, found)
            if limit is not None and scores.shape[1] > limit:
                given_up |= np.isfinite(scores).sum(axis=1) > limit
                threshold[given_up] = np.inf
                scores[given_up] = -np.inf
                scores, found = _packed(scores, found)
        return scores, found, given_up

    def _scores(self, queries: np.ndarray, start: int) -> np.ndarray:
        """The scores of one tile, in memory that the next call on this thread uses again."""
        tile = self.values[start : start + TILE]
        shape = len(queries), len(tile)
        memory = getattr(self.memory, "scores", None)
        if memory is None or len(memory) < shape[0] * shape[1]:
            # Fresh pages for each block would cost as much as the products.
            memory = self.memory.scores = np.empty(shape[0] * shape[1], dtype=tile.dtype)
        scores = memory[: shape[0] * shape[1]].reshape(shape)
        np.matmul(queries, tile.T, out=scores)
        return scores

    def closer(
        self,
        rows: np.ndarray,
        than: np.ndarray,
        decide: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """How many other points are nearer to each row than the point ``than``.

        Args:
            rows: Query numbers.
            than: A point number for each.
            decide: Told positions in ``rows`` and point numbers that the scores cannot tell, says
                which of the pairs are nearer.
        """
        queries = self.queries(rows)
        slack = 3 * self.error[rows]
        reference = np.einsum("ij,ij->i", queries, self.values[than])
        upper = (reference + slack).astype(self.values.dtype)[:, None]
        lower = (reference - slack).astype(self.values.dtype)[:, None]
        counts = np.zeros(len(rows), dtype=np.int64)
        for start in range(0, len(self), TILE):
            tile = self._scores(queries, start)
            for known in (rows, than):
                here = np.flatnonzero((known >= start) & (known < start + tile.shape[1]))
                tile[here, known[here] - start] = -np.inf
            surely = _count(tile > upper)
            counts += surely
            # Mostly no point is so near to the bound that it must be looked at.
            unsure = np.flatnonzero(_count(tile >= lower) > surely)
            row, place = np.nonzero(
                (tile[unsure] >= lower[unsure]) & (tile[unsure] <= upper[unsure])
            )
            row = unsure[row]
            counts += np.bincount(row[decide(row, place + start)], minlength=len(rows))
        return counts


def _count(mask: np.ndarray) -> np.ndarray:
    """How many are true in each row; of whole rows NumPy counts ten times as fast."""
    return np.array([np.count_nonzero(row) for row in mask], dtype=np.int64)


def chunks(order: np.ndarray, width: int) -> Iterator[np.ndarray]:
    """``order`` in pieces whose float64 rows take some 32 MB."""
    size = max(1, 4 * ENTRIES // width)
    return (order[start : start + size] for start in range(0, len(order), size))


def _error(lengths: np.ndarray, dim: int, dtype: type) -> np.ndarray:
    """How far a score of each row may be from the true one; Higham 2002, section 3.1.

    D + 1 products summed in any order; the points and half their squared lengths, rounded. Last,
    centring: the source's coordinates are exact, their differences to the centre are not.
    """
    unit = np.finfo(dtype).eps / 2
    longest = lengths.max(initial=0.0)
    centring = 8 * 2.0**-53 * (lengths + longest)
    summed = (dim + 8) * (lengths + longest / 2) + 4 * longest
    return 1.01 * (unit * longest * summed + centring)


def _kth_best(scores: np.ndarray, wanted: int) -> np.ndarray:
    """A lower bound of each row's ``wanted``-th best score, near it.

    ``wanted`` groups of columns have a best score of at least the bound, so that many scores do.
    """
    rows, columns = scores.shape
    groups = 1 << max(8, (16 * wanted - 1).bit_length())
    if columns // groups >= 4:
        deep = columns // groups
        scores = scores[:, : deep * groups].reshape(rows, deep, groups).max(axis=1)
    at = scores.shape[1] - wanted
    return np.partition(scores, at, axis=1)[:, at]


def _dense(flat: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat places of a matrix of scores as one list for each row: columns and scores."""
    rows, columns = scores.shape
    row = flat // columns
    counts = np.bincount(row, minlength=rows)
    place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = int(counts.max(initial=0))
    values = np.full((rows, width), -np.inf, dtype=scores.dtype)
    numbers = np.zeros((rows, width), dtype=np.int64)
    values[row, place] = scores.ravel()[flat]
    numbers[row, place] = flat - row * columns
    return numbers, values


def _packed(scores: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lists without the entries of -inf between others."""
    flat = np.flatnonzero(scores > -np.inf)
    places, values = _dense(flat, scores)
    return values, np.take_along_axis(found, places, axis=1)
