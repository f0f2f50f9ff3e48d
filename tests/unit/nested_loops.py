"""The losses that hold others, or join them, as plain loops: see loss_loops.py."""

import copy
from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_loops import LOOPS, cosine, mean

from dmlbench.samplers.batch import PairSets

CLOSE = {"rtol": 1e-6, "atol": 1e-9}
CONTRASTIVE = {"type": "contrastive"}


def compare(loss, value_of, loop_of, batch):
    """The loss and its loop, in value and in the gradients of embeddings and parameters."""
    copied = copy.deepcopy(loss)
    ours, theirs = (batch.embeddings.clone().requires_grad_() for _ in range(2))
    value, expected = value_of(loss, ours), loop_of(copied, theirs)
    value.backward()
    (expected + 0 * theirs.sum()).backward()
    torch.testing.assert_close(value, expected, **CLOSE)
    torch.testing.assert_close(ours.grad, theirs.grad, **CLOSE)
    for mine, other in zip(loss.parameters(), copied.parameters(), strict=True):
        grad = torch.zeros_like(other) if other.grad is None else other.grad
        torch.testing.assert_close(mine.grad, grad, **CLOSE)


def random_shapes(examples=8, **more):
    def decorate(test):
        shapes = {"seed": st.integers(0, 10**6), "size": st.integers(2, 9)}
        shapes |= {"dim": st.integers(1, 5), "classes": st.integers(2, 4), **more}
        return given(**shapes)(settings(max_examples=examples)(test))

    return decorate


def fed(loss):
    """A loss on features as one on embeddings: the features are these and their squares."""
    loss.take_features(2 * loss.embedding_dim)
    inner = loss.forward

    def forward(batch, tuples=None):
        return inner(replace(batch, features=features_of(batch.embeddings)), tuples)

    loss.forward = forward
    return loss


def features_of(points):
    return torch.cat([points, points.square()], dim=1)


def kind(loss):
    """The name that a loss is registered by, without looking at its class's own name."""
    names = {
        "Contrastive": "contrastive",
        "Margin": "margin",
        "MultiSimilarity": "multi_similarity",
    }
    names |= {"Triplet": "triplet", "ProxyNCA": "proxy_nca"}
    return names[type(loss).__name__]


def all_pairs(labels, content, mining=None, points=None):
    """All pairs of the batch, of anchors with both kinds; ``mining`` keeps some of them."""
    return rectangle(labels, content, labels, content, points, points, mining)


def rectangle(labels, content, others, other_content, points, memory, mining=None):
    """Positives and negatives of anchors in rows; Wang et al. 2019, equations 7 and 8."""
    positives, negatives = (torch.zeros(len(labels), len(others), dtype=torch.bool) for _ in "pn")
    for a, label in enumerate(labels):
        near = [
            j for j, other in enumerate(others) if other == label and other_content[j] != content[a]
        ]
        far = [j for j, other in enumerate(others) if other != label]
        if mining:
            s = [float(cosine(points[a].detach(), point)) for point in memory]
            easiest = min([s[j] for j in near], default=float("inf"))
            hardest = max([s[j] for j in far], default=-float("inf"))
            near, far = (
                [j for j in near if s[j] - 0.1 < hardest],
                [j for j in far if s[j] + 0.1 > easiest],
            )
        if near and far:
            positives[a, near], negatives[a, far] = True, True
    return PairSets(positives, negatives)


def threshold_consistent(loss, points, labels, tuples):
    (high, low), (w_near, w_far) = loss.margins, loss.weights
    pairs = all_pairs(labels, range(len(labels)))
    near, far = [], []
    for i in range(len(points)):
        for j in range(len(points)):
            s = cosine(points[i], points[j])
            if pairs.positives[i, j] and s <= high:
                near.append(high - s)
            if pairs.negatives[i, j] and s >= low:
                far.append(s - low)
    return w_near * mean(near) + w_far * mean(far)


def rate(vectors, epsilon_squared):
    """1/2 logdet of the sum of outer products, by Gaussian elimination."""
    unit = [[v / sum(x * x for x in row) ** 0.5 for v in row] for row in vectors]
    n, d = len(unit), len(unit[0])
    rows = [
        [
            sum(z[i] * z[j] for z in unit) * d / (n * epsilon_squared) + (1.0 if i == j else 0.0)
            for j in range(d)
        ]
        for i in range(d)
    ]
    total = 0.0
    for k in range(d):
        total = total + torch.log(rows[k][k]) / 2
        for i in range(k + 1, d):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return total


def coding_rate(loss, points, labels, tuples):
    if loss.of == "batch":
        return -rate(points, loss.epsilon_squared)
    (owner,) = loss._owner
    chosen = range(len(owner.proxies)) if loss.of == "proxies" else sorted(set(labels.tolist()))
    return -rate([owner.proxies[c] for c in chosen], loss.epsilon_squared)


def weighted_sum(loss, points, labels, tuples):
    parts = []
    for weight, inner in zip(loss.weights, loss.losses, strict=True):
        own = {"CodingRate": coding_rate, "ThresholdConsistent": threshold_consistent}
        loop = own.get(type(inner).__name__) or LOOPS[kind(inner)]
        parts.append(weight * loop(inner, points, labels, tuples))
    return sum(parts)


def divergence(temperature, student, teacher):
    """KL(teacher || student) of softmax rows of cosines, times temperature squared: the mean."""
    teacher, rows = teacher.detach(), []
    for a in range(len(student)):
        q, p = (
            [torch.exp(cosine(x[a], x[b]) / temperature) for b in range(len(x))]
            for x in (student, teacher)
        )
        rows.append(
            sum(
                x / sum(p) * (torch.log(x / sum(p)) - torch.log(y / sum(q)))
                for x, y in zip(p, q, strict=True)
            )
        )
    return temperature**2 * mean(rows)


def s2sd(loss, points, features, labels, tuples):
    own, *inner = loss.losses
    total = LOOPS[kind(own)](own, points, labels, tuples) / 2
    for head, each in zip(loss.heads, inner, strict=True):
        wide = torch.stack([layers(head, row) for row in features])
        wide = torch.stack([row / sum(x * x for x in row) ** 0.5 for row in wide])
        number = len(inner)
        total = total + LOOPS[kind(each)](each, wide, labels, tuples) / (2 * number)
        total = total + loss.weight / number * divergence(loss.temperature, points, wide)
    if loss.steps >= loss.feature_start:
        total = total + loss.feature_weight * divergence(loss.temperature, points, features)
    return total


def layers(head, row):
    first, _, second = head
    hidden = [sum(w * x for w, x in zip(ws, row, strict=True)) for ws in first.weight]
    hidden = [h + b if h + b > 0 else (h + b) * 0 for h, b in zip(hidden, first.bias, strict=True)]
    made = [sum(w * x for w, x in zip(ws, hidden, strict=True)) for ws in second.weight]
    return torch.stack([m + b for m, b in zip(made, second.bias, strict=True)])


class Memory:
    """A cross-batch memory in lists: embeddings, labels and contents, the oldest first."""

    def __init__(self, size):
        self.size, self.kept = size, []

    def loss(self, inner, points, labels, content, mining):
        """The inner loss of the anchors against all that is kept, their own copies too."""
        new = zip(points.detach().clone(), labels.tolist(), content.tolist(), strict=True)
        self.kept = (self.kept + list(new))[-self.size :]
        memory, others, contents = zip(*self.kept, strict=True)
        pairs = rectangle(
            labels.tolist(), content.tolist(), others, contents, points, memory, mining
        )
        # The loops know one list of points: the memory follows the anchors.
        number, whole = len(points), torch.cat([points, torch.stack(memory)])
        square = [torch.zeros(len(whole), len(whole), dtype=torch.bool) for _ in range(2)]
        for mask, marks in zip(square, (pairs.positives, pairs.negatives), strict=True):
            mask[:number, number:] = marks
        every = torch.cat([labels, torch.tensor(others)])
        value = LOOPS[kind(inner)](copy.copy(inner), whole, every, PairSets(*square))
        if kind(inner) == "multi_similarity" and inner.normalizer == "batch":
            value = value * len(whole) / number
        return value
