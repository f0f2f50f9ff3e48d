"""Every loss once more, as a plain loop over pairs and triplets written from its formula.

Numbers are float64 scalars of torch, so that the loops have gradients too.
"""

import math

import torch

from dmlbench.samplers.batch import Triplets


def distance(a, b, squared):
    total = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return total if squared else total**0.5


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / (sum(x * x for x in a) ** 0.5 * sum(x * x for x in b) ** 0.5)


def hinge(x):
    return x if x > 0 else x * 0


def triplets_of(tuples):
    """All triplets, listed: of pair sets every positive with every negative of an anchor."""
    if isinstance(tuples, Triplets):
        rows = zip(*(t.tolist() for t in vars(tuples).values()), strict=True)
        return [(a, p, n) for a, p, n, valid in rows if valid]
    size = range(len(tuples.positives))
    return [
        (a, p, n)
        for a in size
        for p in size
        for n in size
        if tuples.positives[a, p] and tuples.negatives[a, n]
    ]


def pairs_of(tuples):
    """(anchor, other, is positive), a pair of a list as often as it comes there."""
    if isinstance(tuples, Triplets):
        listed = triplets_of(tuples)
        return [(a, p, True) for a, p, _ in listed] + [(a, n, False) for a, _, n in listed]
    size = range(len(tuples.positives))
    positive = [(a, b, True) for a in size for b in size if tuples.positives[a, b]]
    return positive + [(a, b, False) for a in size for b in size if tuples.negatives[a, b]]


def mean(terms):
    return sum(terms) / len(terms) if terms else torch.zeros((), dtype=torch.float64)


def contrastive_terms(loss, points, labels, tuples):
    terms = []
    for a, b, positive in pairs_of(tuples):
        d = distance(points[a], points[b], loss.squared)
        terms.append(d if positive else hinge(loss.margin - d))
    return terms


def triplet_terms(loss, points, labels, tuples):
    return [
        hinge(
            distance(points[a], points[p], loss.squared)
            - distance(points[a], points[n], loss.squared)
            + loss.margin
        )
        for a, p, n in triplets_of(tuples)
    ]


def margin_terms(loss, points, labels, tuples):
    terms = []
    for a, b, positive in pairs_of(tuples):
        d, beta = distance(points[a], points[b], False), loss.beta[labels[a]]
        terms.append(hinge((d - beta if positive else beta - d) + loss.margin))
    return terms


def contrastive(*args):
    return mean(contrastive_terms(*args))


def triplet(*args):
    return mean(triplet_terms(*args))


def margin(*args):
    terms = margin_terms(*args)
    active = sum(1 for t in terms if t > 0)
    return sum(terms) / max(1, active) if terms else mean([])


def multi_similarity_terms(loss, points, labels, tuples):
    pairs = set(pairs_of(tuples))
    terms = []
    for a in range(len(points)):
        near = sum(
            torch.exp(-loss.alpha * (cosine(points[a], points[p]) - loss.threshold))
            for x, p, positive in sorted(pairs)
            if x == a and positive
        )
        far = sum(
            torch.exp(loss.beta * (cosine(points[a], points[n]) - loss.threshold))
            for x, n, positive in sorted(pairs)
            if x == a and not positive
        )
        zero = torch.zeros((), dtype=torch.float64)
        term = torch.log(1 + near + zero) / loss.alpha + torch.log(1 + far + zero) / loss.beta
        if any(x == a for x, _, _ in pairs):
            terms.append(term)
    return terms


def multi_similarity(loss, points, labels, tuples):
    terms = multi_similarity_terms(loss, points, labels, tuples)
    return sum(terms) / len(points) if loss.normalizer == "batch" and terms else mean(terms)


def easy_proxy(loss, point, label):
    """The position of the most similar proxy of the class."""
    own = range(label * loss.proxies_per_class, (label + 1) * loss.proxies_per_class)
    return max(own, key=lambda i: cosine(point, loss.proxies[i]).item())


def proxy_nca(loss, points, labels, tuples):
    terms = []
    for point, label in zip(points, labels.tolist(), strict=True):
        costs, mine = [], easy_proxy(loss, point, label)
        for proxy in loss.proxies:
            x = [v / sum(w * w for w in point) ** 0.5 for v in point]
            p = [v / sum(w * w for w in proxy) ** 0.5 for v in proxy]
            costs.append(torch.exp(-loss.scale * distance(x, p, True)))
        rest = [c for i, c in enumerate(costs) if i // loss.proxies_per_class != label]
        rest += [costs[mine]] if loss.positive_in_denominator else []
        terms.append(-torch.log(costs[mine] / sum(rest)))
    return mean(terms)


def moments(values):
    centre = mean(values)
    return centre, mean([(v - centre) ** 2 for v in values])


def d_loss(loss, points, labels, tuples):
    sides = {True: [], False: []}
    for i in range(len(points)):
        for j in range(i):
            sides[bool(labels[i] == labels[j])].append(cosine(points[i], points[j]))
    if not sides[True] or not sides[False]:
        return mean([])
    return decidability(loss.form, loss.epsilon, sides[True], sides[False])


def decidability(form, epsilon, genuine, impostor):
    (m1, v1), (m2, v2) = moments(genuine), moments(impostor)
    spread = ((v1 + v2 + epsilon) / 2) ** 0.5
    if form == "negative":
        return -(m1 - m2) / spread
    difference = m1 - m2 if m1 - m2 > epsilon else torch.tensor(epsilon, dtype=torch.float64)
    return spread / difference if form == "inverse" else torch.log(spread / difference)


def pd_loss(loss, points, labels, tuples):
    genuine, impostor = [], []
    for point, label in zip(points, labels.tolist(), strict=True):
        easy = easy_proxy(loss, point, label)
        for number, proxy in enumerate(loss.proxies):
            if number == easy:
                genuine.append(cosine(point, proxy) / loss.temperature)
            elif number // loss.proxies_per_class != label:
                impostor.append(cosine(point, proxy) / loss.temperature)
    if not loss.log:
        return decidability("negative", loss.epsilon, genuine, impostor)
    return decidability("log", loss.epsilon, genuine, impostor) + 0.5 * torch.log(
        torch.tensor(2.0, dtype=torch.float64)
    )


def trimmed(loss, points, labels, tuples):
    inner = {
        "Triplet": triplet_terms,
        "Margin": margin_terms,
        "Contrastive": contrastive_terms,
        "MultiSimilarity": multi_similarity_terms,
        "NTXent": nt_xent_terms,
        "Hyperbolic": hyperbolic_terms,
    }
    name = type(loss.inner).__name__
    terms = inner[name](loss.inner, points, labels, tuples)
    groups = [[term] for term in terms]
    if isinstance(tuples, Triplets) and name in (
        "Margin",
        "Contrastive",
    ):  # positive pairs, then negative ones
        half = len(terms) // 2
        groups = [list(pair) for pair in zip(terms[:half], terms[half:], strict=True)]
    groups.sort(key=lambda group: sum(group).item())
    kept = [t for g in groups[: math.ceil((1 - loss.trim) * len(groups) - 1e-9)] for t in g]
    if kept and name == "Margin":
        return sum(kept) / max(1, sum(1 for t in kept if t > 0))
    if kept and name == "MultiSimilarity" and loss.inner.normalizer == "batch":
        return sum(kept) / len(points)
    return mean(kept)


def cross_entropies(alike, tuples, temperature):
    """One term for each positive pair, against the anchor's negatives; each pair counts once."""
    pairs, terms = sorted(set(pairs_of(tuples))), []
    for a, p, positive in pairs:
        if positive:
            mine = torch.exp(alike(a, p) / temperature)
            rest = [torch.exp(alike(a, n) / temperature) for x, n, y in pairs if x == a and not y]
            terms.append(-torch.log(mine / (mine + sum(rest))))
    return terms


def nt_xent_terms(loss, points, labels, tuples):
    def alike(i, j):
        return cosine(points[i], points[j])

    return cross_entropies(alike, tuples, loss.temperature)


def nt_xent(*args):
    return mean(nt_xent_terms(*args))


def poincare_distance(a, b, curvature, clip):
    """The formula with arccosh, of points that the exponential map takes into the ball."""
    mapped, zero = [], torch.zeros((), dtype=torch.float64)
    for x in (a, b):
        length = sum(v * v for v in x) ** 0.5
        if length > clip:
            x, length = [v * clip / length for v in x], clip + zero
        root = curvature**0.5 * length
        mapped.append([v * torch.tanh(root) / root for v in x])
    squares = [1 - curvature * sum(v * v for v in z) for z in mapped]
    argument = 1 + 2 * curvature * distance(*mapped, True) / (squares[0] * squares[1])
    return torch.acosh(argument) / curvature**0.5 if argument > 1 else zero


def hyperbolic_terms(loss, points, labels, tuples):
    def alike(i, j):
        return -poincare_distance(points[i], points[j], loss.curvature, loss.clip)

    return cross_entropies(alike, tuples, loss.temperature)


def hyperbolic(*args):
    return mean(hyperbolic_terms(*args))


LOOPS = {
    f.__name__: f
    for f in (
        contrastive, triplet, margin, multi_similarity, proxy_nca, d_loss, pd_loss, trimmed,
        nt_xent, hyperbolic,
    )
}  # fmt: skip
