"""MAP@R."""

import numpy as np

from dmlbench.evaluation.metric import Measure, Queries, register_metric
from dmlbench.evaluation.metrics.r_precision import RPrecision


@register_metric("map_at_r", measures={"map_at_r": Measure("MAP@R", printed=True)})
class MeanAveragePrecision(RPrecision):
    """The mean over the R nearest of: precision at i if the i-th is of the class, else 0.

    Musgrave et al. 2020, section 3.3.
    """

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        inside = queries.within_r
        precision = np.cumsum(inside, axis=1) / np.arange(1, inside.shape[1] + 1)
        return (precision * inside).sum(axis=1) / queries.others
