"""Exact distances of single pairs: what decides where products cannot tell."""

from functools import cached_property

import numpy as np

from dmlbench.search import CROWD, ENTRIES

#: Of this many distances at once, those of equal embeddings are looked up and not computed.
MANY = 2**16


class ExactDistances:
    """Squared distances in float64, from float32 embeddings as they came.

    The value of a pair depends on nothing but its two embeddings.

    Args:
        source: N x D, float32.
        order: The row of ``source`` that each number stands for.
    """

    def __init__(self, source: np.ndarray, order: np.ndarray) -> None:
        self.source, self.order = source, order

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The squared distances of pairs of numbers."""
        if len(a) < MANY:
            return self._direct(self.order[a], self.order[b])
        first, table = self.twins
        if table is not None:
            return table[first[a], first[b]]
        result = np.zeros(len(a))
        different = np.flatnonzero(first[a] != first[b])
        result[different] = self._direct(self.order[a[different]], self.order[b[different]])
        return result

    def nearest_of_few(self, rows: np.ndarray, k: int) -> np.ndarray | None:
        """The ``k`` nearest others of some numbers, where there are few different embeddings.

        All with one embedding have the same list, each without itself; ties go by number. None
        where many embeddings differ.
        """
        first, table = self.twins
        if table is None:
            return None
        result = np.empty((len(rows), k), dtype=np.int64)
        for one in np.unique(first[rows]):
            distance = table[one][first]
            near = np.flatnonzero(distance <= np.partition(distance, k)[k])
            near = near[np.argsort(distance[near], kind="stable")][: k + 1]
            mine = np.flatnonzero(first[rows] == one)
            itself = near == rows[mine, None]
            itself[~itself.any(axis=1), -1] = True
            result[mine] = np.broadcast_to(near, itself.shape)[~itself].reshape(-1, k)
        return result

    def _direct(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        result = np.empty(len(a))
        size = max(1, ENTRIES // self.source.shape[1])
        for start in range(0, len(a), size):
            some = slice(start, start + size)
            difference = self.source[a[some]].astype(np.float64)
            difference -= self.source[b[some]]
            result[some] = np.square(difference, out=difference).sum(axis=1)
        return result

    @cached_property
    def twins(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Which embeddings are equal (a number for each), and if few differ, all distances."""
        rows = np.ascontiguousarray(self.source[self.order]).view(f"V{4 * self.source.shape[1]}")
        _, where, number = np.unique(rows.ravel(), return_index=True, return_inverse=True)
        if len(where) > CROWD:
            return number, None
        a, b = np.meshgrid(self.order[where], self.order[where], indexing="ij")
        return number, self._direct(a.ravel(), b.ravel()).reshape(a.shape)
