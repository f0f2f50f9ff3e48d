"""Metrics that are means over queries, all from one search for nearest neighbours.

Every image is a query, the others are its gallery. Neighbours are exact, ties go by the hash of the
image id, and the query is left out by its number (:mod:`dmlbench.knn`).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from dmlbench.errors import DataError
from dmlbench.evaluation.metric import Metric, Sample, row
from dmlbench.knn import Gallery
from dmlbench.progress import counting


@dataclass(frozen=True)
class Queries:
    """Some queries and their nearest others.

    ``rows`` are n places in the ``gallery``, whose images have ``labels``. ``relevant`` (n x depth)
    says whether each neighbour, nearest first, is of the query's class; ``others`` how many others
    are of that class: R.
    """

    gallery: Gallery
    labels: np.ndarray
    rows: np.ndarray
    relevant: np.ndarray
    others: np.ndarray

    @cached_property
    def within_r(self) -> np.ndarray:
        """``relevant``, false beyond the first R neighbours."""
        return self.relevant & (np.arange(self.relevant.shape[1]) < self.others[:, None])

    def not_alone(self) -> "Queries":
        """Those with others of their class."""
        kept = self.others > 0
        some = self.rows[kept], self.relevant[kept], self.others[kept]
        return self if kept.all() else Queries(self.gallery, self.labels, *some)


class QueryMetric(Metric):
    """A mean over queries; ``alone_too`` counts also those that are alone in their class."""

    alone_too: ClassVar[bool] = False
    note: ClassVar[str] = "mean over images not alone in their class"

    def depth(self, sample: Sample) -> int:
        """How many neighbours of each query the metric looks at; fewer than N."""
        return 1

    def ks(self, sample: Sample) -> list[int]:
        """The values of k to store."""
        return [0]

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        """The value of each of n queries."""
        raise NotImplementedError


def query_rows(sample: Sample, metrics: list[QueryMetric]) -> list[dict]:
    """The rows of several metrics from one search; a DataError where there are too few images."""
    columns = [(metric, k) for metric in metrics for k in metric.ks(sample)]
    depth = max(1, *(metric.depth(sample) for metric in metrics))
    if depth >= len(sample.ids):
        raise DataError(
            f"{depth} neighbours are not below the number of images, {len(sample.ids)}; lower "
            "evaluation.recall_at"
        )
    labels, gallery = sample.labels, Gallery(sample.embeddings, sample.ids, sample.gpu)
    total = np.zeros(len(columns))
    with counting("neighbours", len(gallery), "images") as count:
        for rows, found in gallery.search(depth, sample.threads):
            relevant = labels[found] == labels[rows, None]
            everyone = Queries(gallery, labels, rows, relevant, sample.others[rows])
            paired = everyone.not_alone()
            total += [
                metric.of_queries(everyone if metric.alone_too else paired, k).sum()
                for metric, k in columns
            ]
            count(len(rows))
    result = []
    for (metric, k), value in zip(columns, total.tolist(), strict=True):
        counted = len(gallery) if metric.alone_too else np.count_nonzero(sample.others)
        mean = value / counted if counted else None
        name = next(iter(metric.measures))
        result.append(row(name, k, mean, metric.note, "every image is alone in its class"))
    return result
