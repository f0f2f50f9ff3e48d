"""R-precision."""

import numpy as np

from dmlbench.evaluation.metric import Measure, Queries, QueryMetric, Sample, register_metric


@register_metric("r_precision", measures={"r_precision": Measure("RP", printed=True)})
class RPrecision(QueryMetric):
    """The share of its class among a query's R nearest others, R = how many are of its class."""

    def depth(self, sample: Sample) -> int:
        return int(sample.others.max())

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        return queries.within_r.sum(axis=1) / queries.others
