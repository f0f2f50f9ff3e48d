"""The mean reciprocal rank."""

import numpy as np

from dmlbench.evaluation.metric import Measure, Queries, QueryMetric, register_metric


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
        members = queries.gallery.members
        mates = members[queries.labels[members] == queries.labels[row]]
        mates = mates[mates != row]
        return mates[queries.gallery.distances(np.full(len(mates), row), mates).argmin()]
