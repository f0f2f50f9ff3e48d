"""What figures show of one run's embeddings; no metric depends on it."""

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from dmlbench.config.dataset_facts import Roles
from dmlbench.evaluation.coincidence import points_of
from dmlbench.evaluation.metric import others_of_class
from dmlbench.evaluation.metrics.verification import decidability
from dmlbench.evaluation.scored_pairs import Scored
from dmlbench.neighbours.knn import Gallery, of_one_class, tie_keys

#: Fewer points are shown in a plane through them, which holds up to three.
_FEW = 4
#: Bins of a histogram of similarities, and the share of pairs below the first.
BINS, TAIL = 80, 0.002


def queries(
    labels: np.ndarray, ids: np.ndarray, count: int, roles: Roles | None = None
) -> np.ndarray:
    """The ids of ``count`` queries (fewer where there are no more), of different classes first.

    They follow from the ids alone: all methods show the same ones, and nobody picks them. Queries
    without a match are left out. ``roles``: as of :class:`dmlbench.evaluation.metric.Sample`.
    """
    others = others_of_class(pd.factorize(labels)[0], roles)
    table = pd.DataFrame({"id": ids, "label": labels, "key": tie_keys(ids)})[others > 0]
    table = table.sort_values("key")
    turn = table.groupby("label").cumcount()
    return table.assign(turn=turn).sort_values(["turn", "key"])["id"].to_numpy()[:count]


def neighbours_of(
    embeddings: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
    asked: np.ndarray,
    k: int,
    roles: Roles | None = None,
) -> pd.DataFrame:
    """The ``k`` nearest gallery images of some queries, in the order of our search
    (:mod:`dmlbench.neighbours.knn`).

    The embeddings are N x D, float32; ``asked`` are the ids of the queries. There are fewer than
    ``k`` in a small gallery. One row for each neighbour: query (its id), rank (from 1), id, right
    (same class).
    """
    gallery = Gallery(embeddings, ids, roles=roles)
    mine, classes = ids[gallery.order], np.asarray(labels)[gallery.order]
    places = pd.Index(mine).get_indexer(asked)
    k = min(k, gallery.most)
    found = gallery.neighbours(places, k)
    table = pd.DataFrame(
        {
            "query": np.repeat(asked, k),
            "rank": np.tile(np.arange(1, k + 1), len(asked)),
            "id": mine[found].ravel(),
            "right": of_one_class(classes, places, found).ravel(),
        }
    )
    return table[found.ravel() >= 0].reset_index(drop=True)


def similarity_histogram(
    embeddings: np.ndarray, labels: np.ndarray, at_most: int, roles: Roles | None = None
) -> pd.DataFrame:
    """How alike images of one class are, and images of different ones.

    The similarity is minus the squared distance of two embeddings (N x D, float32); pairs are those
    of ``at_most`` images, evenly spaced. Where queries and gallery are apart, a pair is a query
    and another image of the gallery, of up to ``at_most`` images each.

    One row for each bin: left and right edge, the shares of genuine and of impostor pairs in it,
    and d' of all pairs (NaN where a kind or any spread is missing). The least alike are in no bin.
    Bins have no width where all pairs are equally alike, as where all images lie on one point.
    """
    similarity, genuine = _pairs(embeddings, np.asarray(labels), at_most, roles)
    low, high = np.quantile(similarity, TAIL), similarity.max()
    edges = np.linspace(low if low < high else similarity.min(), high, BINS + 1)
    both = genuine.any() and not genuine.all()
    value = decidability(Scored(similarity, genuine)) if both else None
    return pd.DataFrame(
        {
            "left": edges[:-1],
            "right": edges[1:],
            "genuine": np.histogram(similarity[genuine], edges)[0] / max(1, genuine.sum()),
            "impostor": np.histogram(similarity[~genuine], edges)[0] / max(1, (~genuine).sum()),
            "d_prime": np.nan if value is None else value,
        }
    )


def _pairs(
    embeddings: np.ndarray, labels: np.ndarray, at_most: int, roles: Roles | None
) -> tuple[np.ndarray, np.ndarray]:
    """The similarities of the pairs of a histogram, and whether each is of one class."""
    from scipy.spatial.distance import cdist, pdist

    if roles is None:
        kept = evenly(len(embeddings), at_most)
        first, second = (kept[side] for side in np.triu_indices(len(kept), 1))
        similarity = -pdist(_settled(embeddings[kept]), "sqeuclidean")
        return similarity, labels[first] == labels[second]
    asked, found = (np.flatnonzero(mask) for mask in roles)
    asked, found = (rows[evenly(len(rows), at_most)] for rows in (asked, found))
    points = _settled(embeddings[np.concatenate([asked, found])])
    similarity = -cdist(points[: len(asked)], points[len(asked) :], "sqeuclidean")
    others = asked[:, None] != found
    genuine = labels[asked, None] == labels[found]
    return similarity[others], genuine[others]


def _settled(embeddings: np.ndarray) -> np.ndarray:
    """The embeddings in float64; those on one point are equal."""
    points, place = points_of(embeddings)
    return points.astype(np.float64)[place]


def in_plane(embeddings: np.ndarray, perplexity: float, seed: int) -> tuple[np.ndarray, str]:
    """Coordinates in the plane, N x 2, and how they were made: ``none``, ``PCA`` or ``t-SNE``.

    Embeddings (N x D, finite) on one point have the same coordinates: t-SNE would draw them as
    separate spots, or end the process. Up to two dimensions are kept as they are.
    """
    points, place = points_of(embeddings)
    dimensions = points.shape[1]
    if dimensions <= 2:
        return np.pad(points, ((0, 0), (0, 2 - dimensions)))[place], "none"
    if len(points) < _FEW:
        return _plane_through(points)[place], "PCA"
    return _tsne(points, perplexity, seed)[place], "t-SNE"


def _plane_through(points: np.ndarray) -> np.ndarray:
    """Up to three points as they lie in their plane: their first two principal components."""
    left, sizes, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    flat = (left * sizes)[:, :2]
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))


# Sums over another number of threads differ in the last digit, from which t-SNE goes its own way.
@threadpool_limits.wrap(limits=1)
def _tsne(points: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """N x 2 (van der Maaten and Hinton 2008, as in EPS figure 6).

    scikit-learn's Barnes-Hut version, PCA start; the same for the same input on the same machine.
    """
    from sklearn.manifold import TSNE

    fitting = min(perplexity, (len(points) - 1) / 3)
    engine = TSNE(perplexity=fitting, init="pca", random_state=seed % 2**32, n_jobs=1)
    return engine.fit_transform(points.astype(np.float32))


def evenly(count: int, at_most: int) -> np.ndarray:
    """Up to ``at_most`` of ``count`` positions, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, at_most)).round().astype(int))
