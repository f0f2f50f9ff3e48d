"""Ranking losses once more, query by query and image by image, from the papers' formulas."""

import math

import torch


def unit_rows(points):
    return [row / (row * row).sum().sqrt() for row in points]


def sigmoid(x):
    return 1 / (1 + (-x).exp()) if x > 0 else 1 - 1 / (1 + x.exp())


def queries(units, labels, content, query_ranked=False):
    """For each query that takes part: similarities to it, its positives and its negatives."""
    size = range(len(units))
    for q in size:
        same = [j for j in size if labels[j] == labels[q]]
        near = [j for j in same if content[j] != content[q]]
        far = [j for j in size if labels[j] != labels[q]]
        if near and far:
            yield {j: (units[q] * units[j]).sum() for j in size}, near + [q] * query_ranked, far


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else torch.zeros((), dtype=torch.float64)


def average_precision(s, near, far, step, step_near):
    def precision(i):
        positives = 1 + sum(step_near(s[j] - s[i]) for j in near if j != i)
        return positives / (positives + sum(step(s[j] - s[i]) for j in far))

    return mean(precision(i) for i in near)


def smooth_ap(loss, points, labels, tuples, content=None):
    def step(x):
        return sigmoid(x / loss.temperature)

    labels, content = labels.tolist(), list(content if content is not None else range(len(labels)))
    ranked = queries(unit_rows(points), labels, content, loss.query_ranked)
    return mean(1 - average_precision(s, near, far, step, step) for s, near, far in ranked)


def roadmap(loss, points, labels, tuples, content=None):
    tau, rho, delta = loss.temperature, loss.rho, loss.delta

    def step(x):
        if x < 0:
            return sigmoid(x / tau)
        if x <= delta:
            return sigmoid(x / tau) + 0.5
        return rho * (x - delta) + 1 / (1 + math.exp(-delta / tau)) + 0.5

    def heaviside(x):
        return 1.0 if x >= 0 else 0.0

    labels, content = labels.tolist(), list(content if content is not None else range(len(labels)))
    ap, calibration, lacks, exceeds = [], [], [], []
    for s, near, far in queries(unit_rows(points), labels, content):
        ap.append(1 - average_precision(s, near, far, step, heaviside))
        low = [(loss.alpha - s[j]).clamp(min=0) for j in near]
        high = [(s[j] - loss.beta).clamp(min=0) for j in far]
        calibration.append(mean(low) + mean(high))
        lacks += [x for x in low if x > 0]
        exceeds += [x for x in high if x > 0]
    pairs = mean(calibration) if loss.pairs == "all" else mean(lacks) + mean(exceeds)
    return (1 - loss.calibration) * mean(ap) + loss.calibration * pairs


def recall_at_k(loss, points, labels, tuples, content=None, shares=None, renormalised=False):
    """With SiMix, ``shares`` are those of the first parent, pair after pair."""
    labels, content = labels.tolist(), list(content if content is not None else range(len(labels)))
    units = unit_rows(points)
    if loss.simix:
        size, shares = len(units), iter(shares)
        for a in range(size):
            for b in range(a + 1, size):
                if labels[a] == labels[b] and content[a] != content[b]:
                    share = next(shares)
                    units.append(share * units[a] + (1 - share) * units[b])
                    labels.append(labels[a])
                    content.append(("virtual", a, b))
        if renormalised:
            units = unit_rows(units)
    lost = []
    for s, near, far in queries(units, labels, content):
        recalls = []
        for k in loss.k.tolist():
            found = 0
            for x in near:
                above = sum(sigmoid((s[z] - s[x]) / loss.temperature) for z in near + far if z != x)
                width = k if loss.rank_temperature == "k" else loss.rank_temperature
                found = found + sigmoid((k - 1 - above) / width)
            recalls.append(found.clamp(max=k) / min(len(near), k))
        lost.append(1 - mean(recalls))
    return mean(lost)


RANKING_LOOPS = {f.__name__: f for f in (smooth_ap, roadmap, recall_at_k)}
