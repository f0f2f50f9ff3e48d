"""Exact nearest neighbours with a written tie rule; used by training monitors and evaluation.

The distance of two images is the float64 sum of the squared differences of their float32
embeddings. Neighbours are ordered by (distance, tie key), and the tie key is a hash of the image
id: with row order instead, a collapsed embedding of a dataset sorted by class would score far above
chance. All work is done in the order of tie keys, so that the order of the rows changes nothing.

faiss gives candidates and their float32 distances. Two of them that differ by more than twice the
bound on rounding errors are in the right order; closer ones are compared in float64.
"""

import itertools
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from dmlbench.neighbours.faiss_loading import load_faiss

BLOCK = 16384  #: queries that faiss is given at a time; 256 would take five times as long each
PART = 256  #: queries that are handed on at a time; sums of metrics are rounded once for each
PADDING = 8  #: candidates beyond those wanted, so that one of them is surely too far
LONG = 256  #: float32 settles few of longer lists, and a GPU gives at most 2,048
LARGE = 2**18  #: images of a gallery that is given fewer queries at a time, to tell how far it is
FEWER = 1024  #: so many at least; with 900 each takes ten times as long
ENTRIES = 2**20  #: numbers in a working array


def tie_keys(ids: np.ndarray) -> np.ndarray:
    """A well-mixed 64-bit number for each id (the finaliser of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Gallery:
    """Embeddings to search, and those of the queries, sorted by tie key.

    An image is known by its place here; ``order`` is the row of the input at each place. By default
    every image is a query, and its gallery are the others.

    Args:
        embeddings: N x D; a NumPy array or a torch tensor, used as float32.
        ids: N distinct image ids.
        gpu: Let faiss search on the GPUs that it sees. No result depends on it.
        roles: Which of the N images are queries and which are searched, two boolean masks. An image
            that is both is never its own neighbour.

    Attributes:
        queries, members: The places of the queries, and of the images that are searched.

    Raises:
        ValueError: An embedding is not finite; there is no query, or nothing to search.
    """

    def __init__(
        self,
        embeddings: Any,
        ids: np.ndarray,
        gpu: bool = False,
        roles: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.gpu = gpu
        self.order = np.argsort(tie_keys(ids), kind="stable")
        asked, searched = roles or np.ones((2, len(self.order)), dtype=bool)
        self.queries, self.members = (np.flatnonzero(m[self.order]) for m in (asked, searched))
        if not len(self.queries) or not len(self.members):
            raise ValueError("there is no query, or no image in the gallery")
        # Where each place is among the members; -1 where it is none.
        self._column = np.full(len(self.order), -1)
        self._column[self.members] = np.arange(len(self.members))
        if hasattr(embeddings, "detach"):
            embeddings = embeddings.detach().float().cpu().numpy()
        self.source = np.ascontiguousarray(embeddings, dtype=np.float32)
        self.centre = self.source.mean(axis=0, dtype=np.float64)
        if not np.isfinite(self.centre).all():
            raise ValueError("embeddings hold NaN or infinity")
        tiles = self._tiles(np.arange(len(self.order)))
        squares = [np.square(points).sum(axis=1) for points in tiles]
        self.lengths = np.sqrt(np.concatenate(squares))

    @property
    def most(self) -> int:
        """How many neighbours a query has at most."""
        return len(self.members) - bool((self._column[self.queries] >= 0).all())

    def search(self, k: int, threads: int | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the places of n queries and of their ``k`` nearest others (n x k), nearest first.

        Where ``k`` is the whole gallery, a query inside it has one neighbour less: -1 is the last.
        faiss and BLAS take ``threads``, or as many as they like; no result depends on it.

        Raises:
            ValueError: ``k`` is not in 1 .. :attr:`most`.
        """
        from threadpoolctl import threadpool_limits

        if not 1 <= k <= self.most:
            raise ValueError(f"k must be in 1 .. {self.most} (the other images), got {k}")
        load_faiss()  # before its threads are limited
        size = max(1, min(PART, ENTRIES // k))
        block = FEWER if len(self.members) > LARGE else BLOCK
        block = block if k <= LONG else size
        # What would be a short last block goes with the one before it.
        starts = [block * number for number in range(max(1, len(self.queries) // block))]
        with threadpool_limits(threads):
            for start, end in itertools.pairwise([*starts, len(self.queries)]):
                rows = self.queries[start:end]
                found = self.neighbours(rows, k)
                for at in range(0, len(rows), size):
                    yield rows[at : at + size], found[at : at + size]

    def neighbours(self, rows: np.ndarray, k: int) -> np.ndarray:
        """The ``k`` nearest others of n queries (places), n x k, as :meth:`search` yields them."""
        lists = np.empty((len(rows), min(k + 1, len(self.members))), dtype=np.int64)
        left = np.flatnonzero(~self._by_faiss(rows, lists))
        if len(left):
            # Equal embeddings have equal lists.
            equal = self.embedding[rows[left]]
            _, first, which = np.unique(equal, return_index=True, return_inverse=True)
            lists[left] = self._by_products(rows[left[first]], lists.shape[1])[which]
        # An image leaves its own list by number, never as the first: an equal one may be before it.
        drop = lists == rows[:, None]
        if lists.shape[1] == k:  # the whole gallery
            lists[drop] = -1
            return np.take_along_axis(lists, np.argsort(drop, axis=1, kind="stable"), axis=1)
        drop[~drop.any(axis=1), -1] = True
        return lists[~drop].reshape(len(rows), k)

    def distances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The squared distances of pairs of places; each depends on nothing but its embeddings."""
        result = np.empty(len(a))
        size = max(1, ENTRIES // self.source.shape[1])
        for start in range(0, len(a), size):
            some = slice(start, start + size)
            difference = self.source[self.order[a[some]]].astype(np.float64)
            difference -= self.source[self.order[b[some]]]
            result[some] = np.square(difference, out=difference).sum(axis=1)
        return result

    def ranks(self, rows: np.ndarray, than: np.ndarray) -> np.ndarray:
        """The rank, from 1, of one other image (``than``) among the neighbours of each query."""
        result = np.ones(len(rows), dtype=np.int64)
        size = max(1, ENTRIES // len(self.members))
        for start in range(0, len(rows), size):
            query, other = rows[start : start + size], than[start : start + size]
            near, error = self._products(query)
            own = self._column[query]
            near[np.flatnonzero(own >= 0), own[own >= 0]] = np.inf
            near -= self.distances(query, other)[:, None]
            result[start : start + size] += np.count_nonzero(near < -error[:, None], axis=1)
            row, column = np.nonzero(np.abs(near) <= error[:, None])
            place = self.members[column]
            # What has the embedding of ``than`` is as far; places are in the order of ties.
            same = self.embedding[place] == self.embedding[other[row]]
            closer = same & (place < other[row])
            row, place, closer = row[~same], place[~same], row[closer]
            gap = self.distances(query[row], place) - self.distances(query[row], other[row])
            closer = np.append(closer, row[(gap < 0) | ((gap == 0) & (place < other[row]))])
            result[start : start + size] += np.bincount(closer, minlength=len(query))
        return result

    @cached_property
    def faiss_index(self) -> tuple[Any, np.ndarray]:
        """The index of the gallery, and a bound on the errors of its distances to each place."""
        faiss = load_faiss()
        index = faiss.IndexFlatL2(self.source.shape[1])
        if self.gpu and faiss.get_num_gpus():
            index = faiss.index_cpu_to_all_gpus(index)
        index.add(self._scaled(self.members))
        lengths = np.ldexp(self.lengths, -self._exponent)
        return index, self._error(lengths, np.float32)

    @property
    def _exponent(self) -> int:
        return np.frexp(self.lengths.max() or 1.0)[1]

    def _scaled(self, places: np.ndarray) -> np.ndarray:
        """The points of some places as faiss sees them.

        They are centred, since shorter vectors have smaller errors, and scaled by a power of two,
        so that no square over- or underflows.
        """
        exponent, tiles = self._exponent, self._tiles(places)
        scaled = [np.ldexp(points, -exponent).astype(np.float32) for points in tiles]
        return np.concatenate(scaled)

    @cached_property
    def embedding(self) -> np.ndarray:
        """A number for the embedding at each place, the same where embeddings are equal."""
        whole = self.source[self.order].view(f"V{4 * self.source.shape[1]}")
        return np.unique(whole.ravel(), return_inverse=True)[1]

    def _tiles(self, places: np.ndarray) -> Iterator[np.ndarray]:
        """The centred points of places in float64, some at a time."""
        size = max(1, ENTRIES // self.source.shape[1])
        for start in range(0, len(places), size):
            yield self.source[self.order[places[start : start + size]]] - self.centre

    def _error(self, lengths: np.ndarray, dtype: type) -> np.ndarray:
        """How far |x|^2 - 2 x.y + |y|^2 of each x may be from :meth:`distances` to any y.

        For sums of D products in any order (Higham 2002, section 3.1) of rounded points.
        """
        dim, unit = self.source.shape[1], np.finfo(dtype).eps / 2
        return 1.01 * ((dim + 8) * unit + dim * 2.0**-53) * np.square(lengths + lengths.max())

    def _products(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances to the whole gallery by float64 products, and their errors."""
        queries = -2 * (self.source[self.order[rows]] - self.centre)
        result = np.empty((len(rows), len(self.members)))
        squares, start = np.square(self.lengths[self.members]), 0
        for points in self._tiles(self.members):
            here = slice(start, start := start + len(points))
            np.matmul(queries, points.T, out=result[:, here])
            result[:, here] += squares[here]
            result[:, here] += np.square(self.lengths[rows, None])
        return result, self._error(self.lengths, np.float64)[rows]

    def _by_faiss(self, rows: np.ndarray, lists: np.ndarray) -> np.ndarray:
        """Fill the lists (the query itself included) that faiss settles; return which these are."""
        k = lists.shape[1]
        if k > LONG + 1:
            return np.zeros(len(rows), dtype=bool)
        index, error = self.faiss_index
        near, found = index.search(self._scaled(rows), min(k + PADDING, len(self.members)))
        found, error = self.members[found], error[rows]
        sure = (near[:, -1] - near[:, k - 1] > 2 * error) | (found.shape[1] == len(self.members))
        lists[sure] = self._settled(rows[sure], near[sure], found[sure], error[sure], k)
        return sure

    def _by_products(self, rows: np.ndarray, k: int) -> np.ndarray:
        """The lists of ``k`` images (the query itself included) from float64 products."""
        lists = np.empty((len(rows), k), dtype=np.int64)
        size = max(1, ENTRIES // len(self.members))
        for start in range(0, len(rows), size):
            query = rows[start : start + size]
            near, error = self._products(query)
            last = np.partition(near, k - 1, axis=1)[:, k - 1] + 2 * error
            width = np.count_nonzero(near <= last[:, None], axis=1).max()
            found = np.argpartition(near, width - 1, axis=1)[:, :width]
            near = np.take_along_axis(near, found, axis=1)
            by = np.argsort(near, axis=1)
            near, found = (np.take_along_axis(each, by, axis=1) for each in (near, found))
            found = self.members[found]
            lists[start : start + size] = self._settled(query, near, found, error, k)
        return lists

    def _settled(
        self, rows: np.ndarray, near: np.ndarray, found: np.ndarray, error: np.ndarray, k: int
    ) -> np.ndarray:
        """The first ``k`` of sorted candidates in their true order.

        Neighbouring candidates that are closer than the errors form runs; exact distances and ties
        decide within a run.
        """
        linked = np.zeros(found.shape, dtype=bool)
        linked[:, 1:] = np.diff(near, axis=1) <= 2 * error[:, None]
        run = np.cumsum(~linked, axis=1)
        unclear = linked.copy()
        unclear[:, :-1] |= linked[:, 1:]
        unclear &= run <= run[:, k - 1 : k]
        row, column = np.nonzero(unclear)
        place = found[row, column]
        exact = self.distances(rows[row], place)
        by = np.lexsort((place, exact, run[row, column], row))
        found[row, column] = place[by]
        return found[:, :k]


def nearest_neighbours(
    embeddings: Any, ids: np.ndarray, k: int, threads: int | None = None
) -> np.ndarray:
    """The ``k`` nearest other rows of every row (N x k), as :class:`Gallery` finds them."""
    gallery = Gallery(embeddings, ids)
    result = np.empty((len(gallery.queries), k), dtype=np.int64)
    for rows, found in gallery.search(k, threads):
        result[gallery.order[rows]] = gallery.order[found]
    return result


def of_one_class(labels: np.ndarray, rows: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Whether each neighbour (n x k) is of its query's class; ``labels`` are those of all places.

    ``rows`` and ``found`` are those of :meth:`Gallery.search`.
    """
    return (labels[found] == labels[rows, None]) & (found >= 0)


def hits(relevant: np.ndarray, k: int) -> np.ndarray:
    """Recall@K of n queries: whether one of their class is among their K nearest others.

    Jegou et al. 2011, as used in Song et al. 2016; a query without a match counts as missed.
    ``relevant`` is n x K or more: whether each neighbour, nearest first, is of the query's class.
    """
    return relevant[:, :k].any(axis=1)


def recall_at(
    embeddings: Any,
    labels: np.ndarray,
    ids: np.ndarray,
    k: int,
    roles: tuple[np.ndarray, np.ndarray] | None = None,
) -> float:
    """The mean of :func:`hits` over all queries, in 0 .. 1.

    The arguments are those of :class:`Gallery`, with N labels and k of its neighbours.
    """
    gallery = Gallery(embeddings, ids, getattr(embeddings, "is_cuda", False), roles)
    labels = np.asarray(labels)[gallery.order]
    found = gallery.search(k)
    blocks = (hits(of_one_class(labels, rows, near), k).sum() for rows, near in found)
    return float(sum(blocks) / len(gallery.queries))
