"""Retrieval metrics once more, as plain loops over queries written from their formulas."""

import numpy as np

from dmlbench.knn import tie_keys


def ranking(points, ids):
    """Of every row all others, nearest first: float64 distances, ties by the hash of the id."""
    keys = tie_keys(ids)
    rows = points.astype(np.float64)
    return [
        sorted(
            (j for j in range(len(rows)) if j != i),
            key=lambda j: (np.square(rows[i] - rows[j]).sum(), keys[j]),
        )
        for i in range(len(rows))
    ]


def retrieval(points, labels, ids, ks):
    recalls = {k: [] for k in ks}
    means = {"r_precision": [], "map_at_r": [], "mrr": []}
    for i, order in enumerate(ranking(points, ids)):
        relevant = [labels[j] == labels[i] for j in order]
        for k in ks:
            recalls[k].append(any(relevant[:k]))
        others = sum(relevant)
        if not others:
            continue
        means["r_precision"].append(sum(relevant[:others]) / others)
        precisions = [sum(relevant[: i + 1]) / (i + 1) for i in range(others) if relevant[i]]
        means["map_at_r"].append(sum(precisions) / others)
        means["mrr"].append(1 / (relevant.index(True) + 1))
    return {k: np.mean(v) for k, v in recalls.items()} | {
        name: np.mean(v) if v else None for name, v in means.items()
    }
