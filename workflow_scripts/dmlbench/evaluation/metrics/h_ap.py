"""Hierarchical average precision: a neighbour of the coarse class is better than none."""

import numpy as np

from dmlbench.evaluation.metric import (
    Measure,
    Metric,
    Sample,
    mean_row,
    register_metric,
    row,
)
from dmlbench.neighbours.knn import Gallery, of_one_class
from dmlbench.progress import counting


@register_metric(
    "h_ap", measures={"h_ap": Measure("H-AP")}, coarse_too=True, measured_by_default=False
)
class HierarchicalAveragePrecision(Metric):
    """H-AP of the finer labels inside the label, over the full ranking, not cut off.

    Ramzi et al. 2022 (HAPPIER, ECCV), "Hierarchical Average Precision". It is measured for a label
    that has a finer one inside. The ranking of the whole gallery is sorted for each query, so it is
    measured only where a config names it.
    """

    def rows(self, sample: Sample) -> list[dict]:
        if sample.sub_labels is None:
            return [row("h_ap", 0, None, "the label has no finer one inside")]
        gallery = Gallery(sample.embeddings, sample.ids, sample.gpu, sample.roles)
        if not gallery.most:
            return [row("h_ap", 0, None, "one image only")]
        total = 0.0
        with counting("H-AP", len(gallery.queries), "images") as count:
            for rows, found in gallery.search(gallery.most, sample.threads):
                same = of_one_class(sample.labels, rows, found)
                alike = of_one_class(sample.sub_labels, rows, found)
                total += h_ap(same.astype(np.int8) + (same & alike)).sum()
                count(len(rows))
        note = "full ranking; mean over images not alone in their class"
        return [mean_row("h_ap", sample, total, note)]


def h_ap(levels: np.ndarray) -> np.ndarray:
    """H-AP of n queries, each in 0 .. 1; 0 for one without any relevant neighbour.

    ``levels`` (n x gallery, nearest first) is 2 where a neighbour has the query's finer label, 1
    where it has its label only, else 0. With the relevance rel(k) = (level of k / 2) / (number of
    others of that level), which is the paper's with alpha = 1, and 0 at level 0:

        H-rank(k) = rel(k) + sum of min(rel(k), rel(j)) over all j that are nearer than k
        H-AP = (sum of H-rank(k) / rank(k) over all k with rel(k) > 0) / (sum of rel(k))

    With one level it is average precision. The query itself is no neighbour and not counted; the
    code of the paper counts it in the number of its level.
    """
    coarse, fine = levels == 1, levels == 2
    numbers = [each.sum(axis=1, keepdims=True) for each in (coarse, fine)]
    of_coarse, of_fine = (
        np.where(number > 0, level / 2 / np.maximum(number, 1), 0.0)
        for level, number in enumerate(numbers, start=1)
    )
    less = np.minimum(of_coarse, of_fine)
    nearer_coarse, nearer_fine = np.cumsum(coarse, axis=1), np.cumsum(fine, axis=1)
    h_rank = coarse * (of_coarse * nearer_coarse + less * nearer_fine)
    h_rank += fine * (of_fine * nearer_fine + less * nearer_coarse)
    relevance = (numbers[0] * of_coarse + numbers[1] * of_fine)[:, 0]
    summed = (h_rank / np.arange(1, levels.shape[1] + 1)).sum(axis=1)
    return np.divide(summed, relevance, out=np.zeros(len(levels)), where=relevance > 0)
