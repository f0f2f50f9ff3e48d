"""What figures show of one run's embeddings; no metric depends on it."""

import numpy as np
import pandas as pd

from dmlbench.evaluation.metrics.verification import decidability
from dmlbench.evaluation.scored_pairs import Scored
from dmlbench.knn import Gallery, tie_keys

#: Bins of a histogram of similarities, and the share of pairs below the first.
BINS, TAIL = 80, 0.002


def queries(labels: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    """The ids of ``count`` queries (fewer where there are no more), of different classes first.

    They follow from the ids alone: all methods show the same ones, and nobody picks them. Images
    alone in their class are left out.
    """
    table = pd.DataFrame({"id": ids, "label": labels, "key": tie_keys(ids)}).sort_values("key")
    table = table[table.groupby("label")["id"].transform("size") > 1]
    turn = table.groupby("label").cumcount()
    return table.assign(turn=turn).sort_values(["turn", "key"])["id"].to_numpy()[:count]


def neighbours_of(
    embeddings: np.ndarray, labels: np.ndarray, ids: np.ndarray, asked: np.ndarray, k: int
) -> pd.DataFrame:
    """The ``k`` nearest images of some queries, in the order of :mod:`dmlbench.knn`.

    The embeddings are N x D, float32; ``asked`` are the ids of the queries. There are fewer than
    ``k`` in a small gallery. One row for each neighbour: query (its id), rank (from 1), id, right
    (same class).
    """
    gallery = Gallery(embeddings, ids)
    mine, classes = ids[gallery.order], np.asarray(labels)[gallery.order]
    places = pd.Index(mine).get_indexer(asked)
    k = min(k, len(gallery) - 1)
    found = gallery.neighbours(places, k)
    return pd.DataFrame(
        {
            "query": np.repeat(asked, k),
            "rank": np.tile(np.arange(1, k + 1), len(asked)),
            "id": mine[found].ravel(),
            "right": (classes[found] == classes[places, None]).ravel(),
        }
    )


def similarity_histogram(embeddings: np.ndarray, labels: np.ndarray, at_most: int) -> pd.DataFrame:
    """How alike images of one class are, and images of different ones.

    The similarity is minus the squared distance of two embeddings (N x D, float32); pairs are those
    of ``at_most`` images, evenly spaced.

    One row for each bin: left and right edge, the shares of genuine and of impostor pairs in it,
    and d' of all pairs (NaN where a kind or any spread is missing). The least alike are in no bin.
    """
    from scipy.spatial.distance import pdist

    kept = evenly(len(embeddings), at_most)
    similarity = -pdist(embeddings[kept].astype(np.float64), "sqeuclidean")
    first, second = np.triu_indices(len(kept), 1)
    classes = np.asarray(labels)[kept]
    genuine = classes[first] == classes[second]
    edges = np.linspace(np.quantile(similarity, TAIL), similarity.max(), BINS + 1)
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


def tsne(embeddings: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """Coordinates in the plane, N x 2 (van der Maaten and Hinton 2008, as in EPS figure 6).

    scikit-learn's Barnes-Hut version, PCA start; the same for the same input on the same machine.
    """
    from sklearn.manifold import TSNE

    fitting = min(perplexity, (len(embeddings) - 1) / 3)
    engine = TSNE(perplexity=fitting, init="pca", random_state=seed % 2**32, n_jobs=1)
    return engine.fit_transform(embeddings.astype(np.float32))


def evenly(count: int, at_most: int) -> np.ndarray:
    """Up to ``at_most`` of ``count`` positions, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, at_most)).round().astype(int))
