"""Recall@K, R-precision, MAP@R and the mean reciprocal rank."""

import numpy as np

from dmlbench.evaluation.metric import Measure, Sample, register_metric
from dmlbench.evaluation.query_metric import Classes, Queries, QueryMetric
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


class _OfR(QueryMetric):
    """A metric of a query's R nearest others, R = size of its class - 1."""

    def depth(self, sample: Sample) -> int:
        return int(Classes.of_sample(sample).others.max())


@register_metric("r_precision", measures={"r_precision": Measure("RP", printed=True)})
class RPrecision(_OfR):
    """The share of its class among a query's R nearest others."""

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        return queries.within_r.sum(axis=1) / queries.others


@register_metric("map_at_r", measures={"map_at_r": Measure("MAP@R", printed=True)})
class MeanAveragePrecision(_OfR):
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
        if len(far):
            gallery, rows = queries.gallery, queries.rows[far]
            query, member = queries.classes.mates(rows)
            distance = gallery.distances(rows[query], member)
            by = np.lexsort((member, distance, query))
            nearest = member[by][np.searchsorted(query, np.arange(len(far)))]
            ranks[far] = gallery.ranks(rows, nearest)
        return 1 / ranks
