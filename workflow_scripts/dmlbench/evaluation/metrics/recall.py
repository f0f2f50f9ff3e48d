"""Recall@K."""

import numpy as np

from dmlbench.evaluation.metric import Measure, Queries, QueryMetric, Sample, register_metric
from dmlbench.neighbours.knn import hits


@register_metric("recall", measures={"recall": Measure("R@{}", printed=True)})
class Recall(QueryMetric):
    """Recall@K: the share of queries with one of their class among their K nearest others.

    :func:`dmlbench.neighbours.knn.hits`. A query without a match counts as missed.
    """

    alone_too = True
    note = "self left out by index; who is alone in a class counts as missed"

    def ks(self, sample: Sample) -> list[int]:
        return sample.settings.recall_at

    def depth(self, sample: Sample) -> int:
        return max(sample.settings.recall_at)

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        return hits(queries.relevant, k)
