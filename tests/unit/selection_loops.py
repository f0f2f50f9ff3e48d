"""Every selection rule once more, as a plain loop over one anchor's candidates.

A rule that draws at random is a function that gives what may be drawn, each with its probability.
"""

import math


class Anchor:
    """One anchor of a batch, with plain lists of its positives and negatives."""

    def __init__(self, batch, anchor):
        labels, content = batch.labels.tolist(), batch.content.tolist()
        points = batch.embeddings.double().tolist()
        others = range(len(labels))
        self.positives = [
            j for j in others if labels[j] == labels[anchor] and content[j] != content[anchor]
        ]
        self.negatives = [j for j in others if labels[j] != labels[anchor]]
        self.d = [math.dist(points[anchor], points[j]) for j in others]
        norms = [math.hypot(*p) for p in points]
        self.s = [
            sum(a * b for a, b in zip(points[anchor], points[j], strict=True))
            / (norms[anchor] * norms[j])
            for j in others
        ]
        self.dim = len(points[0])


def uniform(candidates):
    return {j: 1 / len(candidates) for j in candidates}


def one(candidates, key):
    return {min(candidates, key=key): 1.0}


POSITIVES = {
    "random": lambda a: uniform(a.positives),
    "easy": lambda a: one(a.positives, lambda j: a.d[j]),
    "hard": lambda a: one(a.positives, lambda j: -a.d[j]),
    "softhard": lambda a: uniform(
        [j for j in a.positives if a.d[j] > min(a.d[n] for n in a.negatives)] or a.positives
    ),
}


def distance_weights(a):
    logs = {}
    for j in a.negatives:
        if a.d[j] < 1.4:
            d = max(a.d[j], 0.5)
            logs[j] = (2 - a.dim) * math.log(d) - (a.dim - 3) / 2 * math.log(1 - d * d / 4)
    if not logs:
        return uniform(a.negatives)
    weights = {j: math.exp(log - max(logs.values())) for j, log in logs.items()}
    return {j: w / sum(weights.values()) for j, w in weights.items()}


#: Given the anchor and its positive.
NEGATIVES = {
    "random": lambda a, p: uniform(a.negatives),
    "hard": lambda a, p: one(a.negatives, lambda j: a.d[j]),
    "semihard": lambda a, p: uniform(
        [j for j in a.negatives if a.d[p] < a.d[j] < a.d[p] + 0.2] or a.negatives
    ),
    "softhard": lambda a, p: uniform(
        [j for j in a.negatives if a.d[j] < max(a.d[p] for p in a.positives)] or a.negatives
    ),
    "distance": lambda a, p: distance_weights(a),
}

POSITIVE_SETS = {
    "all": lambda a: set(a.positives),
    "multi_similarity": lambda a: {
        j
        for j in a.positives
        if a.s[j] - 0.1 < max((a.s[n] for n in a.negatives), default=-math.inf)
    },
}

#: Given the anchor and the set of its chosen positives.
NEGATIVE_SETS = {
    "all": lambda a, chosen: set(a.negatives),
    "multi_similarity": lambda a, chosen: {
        j
        for j in a.negatives
        if a.s[j] + 0.1 > min((a.s[p] for p in a.positives), default=math.inf)
    },
    "multi_similarity to chosen": lambda a, chosen: {
        j for j in a.negatives if a.s[j] + 0.1 > min((a.s[p] for p in chosen), default=math.inf)
    },
}
