"""Recall@K, R-precision, MAP@R and the mean reciprocal rank."""

import numpy as np

from dmlbench.evaluation.metric import Measure, Queries, QueryMetric, Sample, register_metric
from dmlbench.knn import hits


@register_metric("recall", measures={"recall": Measure("R@{}", printed=True)})
class Recall(QueryMetric):
    """Recall@K: the share of queries with one of their class among their K nearest others.

    :func:`dmlbench.knn.hits`. A query that is alone in its class counts as missed.
    """

    alone_too = True
    note = "self left out by index; who is alone in a class counts as missed"

    def ks(self, sample: Sample) -> list[int]:
        return sample.settings.recall_at

    def depth(self, sample: Sample) -> int:
        return max(sample.settings.recall_at)

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        return hits(queries.relevant, k)


@register_metric("r_precision", measures={"r_precision": Measure("RP", printed=True)})
class RPrecision(QueryMetric):
    """The share of its class among a query's R nearest others, R = size of its class - 1."""

    def depth(self, sample: Sample) -> int:
        return int(sample.others.max())

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        return queries.within_r.sum(axis=1) / queries.others


@register_metric("map_at_r", measures={"map_at_r": Measure("MAP@R", printed=True)})
class MeanAveragePrecision(RPrecision):
    """The mean over the R nearest of: precision at i if the i-th is of the class, else 0.

    Musgrave et al. 2020, section 3.3.
    """

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        inside = queries.within_r
        precision = np.cumsum(inside, axis=1) / np.arange(1, inside.shape[1] + 1)
        return (precision * inside).sum(axis=1) / queries.others


@register_metric("mrr", measures={"mrr": Measure("MRR")})
class MeanReciprocalRank(QueryMetric):
    """1 / rank of the nearest image of the class, in the full ranking, not cut off."""

    note = "full ranking; mean over images not alone in their class"

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        ranks = queries.relevant.argmax(axis=1) + 1
        far = np.flatnonzero(~queries.relevant.any(axis=1))
        nearest = [self._nearest(queries, row) for row in queries.rows[far]]
        ranks[far] = queries.gallery.ranks(queries.rows[far], np.array(nearest, dtype=np.int64))
        return 1 / ranks

    @staticmethod
    def _nearest(queries: Queries, row: np.int64) -> np.int64:
        """The nearest image of the query's class; of equally near ones the first goes first."""
        mates = np.flatnonzero(queries.labels == queries.labels[row])
        mates = mates[mates != row]
        return mates[queries.gallery.distances(np.full(len(mates), row), mates).argmin()]
