"""What a metric is: how it is computed, what values it can have and how tables print them."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np

import dmlbench.evaluation.metrics  # noqa: F401  found by folder: a step's code has all metrics
from dmlbench.config.dataset_facts import Roles
from dmlbench.errors import ConfigError, DataError
from dmlbench.evaluation.coincidence import without_rounding
from dmlbench.neighbours.knn import Gallery, of_one_class, tie_keys
from dmlbench.plugins.registry import REGISTRIES
from dmlbench.progress import counting

METRICS = REGISTRIES["metric"]


@dataclass(frozen=True)
class Measure:
    """How one stored number is printed and checked.

    Attributes:
        label: Its name in a table's head; ``{}`` stands for k, or for what fills the ``{}`` of the
            stored name.
        printed: Whether tables print it; the rest stays in the collected metrics.
        low, high: The least and the greatest value that is possible.
        scale: What a table multiplies the stored value by: 100 for percent.
        decimals: Digits after the point in a table.
        higher: Whether more is better.
    """

    label: str
    printed: bool = False
    low: float = 0.0
    high: float = 1.0
    scale: float = 100.0
    decimals: int = 1
    higher: bool = True


def register_metric(name: str, /, *, measures: dict[str, Measure], **facts: Any) -> Callable:
    """Register a metric with what it stores; a ConfigError where another one stores it already."""
    for other, cls in METRICS.known.items():
        if other != name and (taken := sorted(measures.keys() & cls.measures)):
            raise ConfigError(f"metric '{name}' would store {taken[0]}, as '{other}' does; rename")
    return METRICS.register(name, measures=measures, **facts)


class Metric:
    """The base of all metrics.

    Attributes:
        measures: What the metric stores: names in ``metrics.json`` and what is known of each.
        of_pairs: It scores the pairs of a verification view, not the images of a part.
        coarse_too: It is also measured by the coarse labels that training saw.
        measured_by_default: A config that names no metrics has it measured.
    """

    measures: ClassVar[dict[str, Measure]]
    of_pairs: ClassVar[bool] = False
    coarse_too: ClassVar[bool] = False
    measured_by_default: ClassVar[bool] = True

    def rows(self, sample: Any) -> list[dict]:
        """Rows by :func:`row` of a :class:`Sample`, or a PairSample (:mod:`.scored_pairs`)."""
        raise NotImplementedError


class Sample:
    """The embeddings of one part, sorted by tie key, so that the order of rows changes no metric.

    Args:
        embeddings: N x D, float32. Where they differ by rounding alone the attribute's are equal.
        labels: N class labels; the attribute numbers the classes from 0.
        ids: N distinct image ids.
        settings, label: The config's ``evaluation`` section; the label column.
        sub_labels: N finer labels; None where there are none.
        roles: Which images are queries and which the gallery, two boolean masks; None: each is a
            query to all others. The attribute is sorted too.
        threads, gpu: For the search (:class:`dmlbench.neighbours.knn.Gallery`); neither changes a
            result.

    Attributes:
        others: How many others in the gallery are of each query's class: R. 0 for other images.

    A DataError says that an embedding is not finite.
    """

    def __init__(
        self,
        embeddings: np.ndarray,
        labels: np.ndarray,
        ids: np.ndarray,
        settings: Any,
        label: str = "",
        sub_labels: np.ndarray | None = None,
        threads: int | None = None,
        gpu: bool = False,
        roles: Roles | None = None,
    ) -> None:
        if not np.isfinite(embeddings).all():
            raise DataError("the embeddings hold NaN or infinity: the run diverged")
        embeddings = without_rounding(embeddings)
        order = np.argsort(tie_keys(ids), kind="stable")
        self.embeddings, self.ids = embeddings[order], ids[order]
        _, self.labels = np.unique(labels[order], return_inverse=True)
        self.roles = None if roles is None else Roles(*(mask[order] for mask in roles))
        self.others = others_of_class(self.labels, self.roles)
        self.sub_labels = None if sub_labels is None else sub_labels[order]
        self.settings, self.label = settings, label
        self.threads, self.gpu = threads, gpu
        self._kept: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What ``make`` gave the first time it was asked for under ``key``, for all metrics."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def others_of_class(labels: np.ndarray, roles: Roles | None) -> np.ndarray:
    """How many other images in the gallery are of each query's class; 0 for other images.

    ``labels`` are N class numbers from 0, ``roles`` those of the images (:class:`Sample`).
    """
    queries, gallery = roles or np.ones((2, len(labels)), dtype=bool)
    sizes = np.bincount(labels[gallery], minlength=labels.max() + 1)
    return np.where(queries, sizes[labels] - gallery, 0)


def row(metric: str, k: int, value: float | None, note: str, otherwise: str = "") -> dict:
    """One row of the long form, of a ``metric`` among :attr:`Metric.measures`.

    ``k`` is that of Recall@K, or the number of clusters, else 0. Shares are in 0 .. 1. ``note``
    says how the value was computed, ``otherwise`` why it is None.
    """
    note = otherwise if value is None and otherwise else note
    return {"metric": metric, "k": k, "value": value, "note": note}


@cache
def find_measure(stored: str, k: int = 0) -> Measure | None:
    """What is known of a stored name, its label filled in with ``k``; None where no metric has it.

    A name is that of ``metrics.json``, such as ``recall`` or ``tar_at_far_0.01``.
    """
    for cls in METRICS.classes().values():
        for name, measure in cls.measures.items():
            start, holds_number, _ = name.partition("{}")
            if holds_number and stored.startswith(start):
                number = float(stored.removeprefix(start))
                return replace(measure, label=measure.label.format(f"{number:.2g}"))
            if stored == name:
                return replace(measure, label=measure.label.format(k))
    return None


@dataclass(frozen=True)
class Queries:
    """Some queries and their nearest others in the gallery.

    ``rows`` are n places of queries (:class:`dmlbench.neighbours.knn.Gallery`); all places have
    ``labels``.
    ``relevant`` (n x depth) says whether each neighbour, nearest first, is of the query's class;
    ``others`` how many others in the gallery are of that class: R.
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


class QueryMetric(Metric):
    """A mean over queries, from one search for nearest neighbours that all such metrics share.

    Every image is a query, the others are its gallery (:mod:`dmlbench.neighbours.knn`), unless the
    dataset has roles. ``alone_too`` counts also the queries without a match: those that are alone
    in their class, or whose class is not in the gallery.
    """

    alone_too: ClassVar[bool] = False
    note: ClassVar[str] = "mean over images not alone in their class"

    def depth(self, sample: Sample) -> int:
        """How many neighbours of each query the metric looks at; no more than there are."""
        return 1

    def ks(self, sample: Sample) -> list[int]:
        """The values of k to store."""
        return [0]

    def of_queries(self, queries: Queries, k: int) -> np.ndarray:
        """The value of each of n queries."""
        raise NotImplementedError


def mean_row(
    stored: str, sample: Sample, total: float, note: str, k: int = 0, alone_too: bool = False
) -> dict:
    """The row of the mean over queries whose values sum to ``total``.

    ``alone_too`` counts also those without a match (:class:`QueryMetric`).
    """
    asked, searched = sample.roles or np.ones((2, len(sample.ids)), dtype=bool)
    queries, paired = np.count_nonzero(asked), np.count_nonzero(sample.others)
    counted = queries if alone_too else paired
    otherwise = "every image is alone in its class"
    if sample.roles:
        how = "counted as missed" if alone_too else "left out"
        note = (
            f"{queries:,} queries in a gallery of {np.count_nonzero(searched):,}; "
            f"{queries - paired:,} without a match {how}"
        )
        otherwise = "no query has a match in the gallery"
    return row(stored, k, float(total) / counted if counted else None, note, otherwise)


def query_rows(sample: Sample, metrics: list[QueryMetric]) -> list[dict]:
    """The rows of several metrics from one search; a DataError where there are too few images."""
    columns = [(metric, k) for metric in metrics for k in metric.ks(sample)]
    depth = max(1, *(metric.depth(sample) for metric in metrics))
    labels = sample.labels
    gallery = Gallery(sample.embeddings, sample.ids, sample.gpu, sample.roles)
    if depth > gallery.most:
        raise DataError(
            f"{depth} neighbours are more than the {gallery.most} others that a query has; lower "
            "evaluation.recall_at"
        )
    total = np.zeros(len(columns))
    with counting("neighbours", len(gallery.queries), "images") as count:
        for rows, found in gallery.search(depth, sample.threads):
            relevant = of_one_class(labels, rows, found)
            others = sample.others[rows]
            kept = others > 0
            everyone = Queries(gallery, labels, rows, relevant, others)
            paired = Queries(gallery, labels, rows[kept], relevant[kept], others[kept])
            total += [
                metric.of_queries(everyone if metric.alone_too else paired, k).sum()
                for metric, k in columns
            ]
            count(len(rows))
    return [
        mean_row(next(iter(metric.measures)), sample, summed, metric.note, k, metric.alone_too)
        for (metric, k), summed in zip(columns, total.tolist(), strict=True)
    ]
