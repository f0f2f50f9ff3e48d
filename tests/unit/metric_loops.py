"""Retrieval metrics once more, as plain loops over queries written from their formulas."""

import numpy as np

from dmlbench.config.dataset_facts import Roles
from dmlbench.neighbours.knn import tie_keys


def roles_of(count, rng, both=True):
    """Random roles, at least one query and one image in the gallery."""
    role = rng.integers(0, 3 if both else 2, count)
    role[rng.permutation(count)[:2]] = 0, 1
    return Roles((role == 0) | (role == 2), (role == 1) | (role == 2))


def ranking(points, ids, roles=None):
    """For each query (its row) all others of the gallery, nearest first.

    Distances are float64, ties go by the hash of the id. ``roles`` are two masks, of the queries
    and of the gallery; without them every row is both.
    """
    keys = tie_keys(ids)
    rows = points.astype(np.float64)
    queries, gallery = roles or np.ones((2, len(rows)), dtype=bool)
    return {
        i: sorted(
            (j for j in np.flatnonzero(gallery) if j != i),
            key=lambda j: (np.square(rows[i] - rows[j]).sum(), keys[j]),
        )
        for i in np.flatnonzero(queries)
    }


def retrieval(points, labels, ids, ks, roles=None):
    recalls = {k: [] for k in ks}
    means = {"r_precision": [], "map_at_r": [], "mrr": []}
    for i, order in ranking(points, ids, roles).items():
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
