"""Selection and loss as reference codes write them: a Python loop over the anchors of a batch.

Only what the comparison in ``losses.py`` needs; correctness is tested elsewhere.
"""

import numpy as np
import torch


def select_distance_weighted(embeddings, labels, rng):
    """Each positive of an anchor with one distance-weighted negative.

    As in the code that EPS builds on (Roth et al. 2020): an anchor's weights are computed where the
    embeddings are, then NumPy draws, so that a GPU is waited for at each anchor.
    """
    distances = torch.cdist(embeddings, embeddings)
    classes, dim = labels.cpu().numpy(), embeddings.shape[1]
    chosen = []
    for a in range(len(classes)):
        d = distances[a].clamp(0.5, 1.99)
        log = (2 - dim) * torch.log(d) - (dim - 3) / 2 * torch.log(1 - d.pow(2) / 4)
        valid = (labels != labels[a]) & (distances[a] < 1.4)
        if not valid.any():
            valid, log = labels != labels[a], torch.zeros_like(log)
        weights = torch.exp(log.masked_fill(~valid, -torch.inf) - log[valid].max())
        share = weights.double().cpu().numpy()
        share /= share.sum()
        for p in np.flatnonzero(classes == classes[a]):
            if p != a:
                chosen.append((a, p, rng.choice(len(classes), p=share)))
    return chosen


def margin(embeddings, labels, chosen):
    """Margin loss; one learned beta for each class, 1.2 at first."""
    beta = torch.full((int(labels.max()) + 1,), 1.2, device=labels.device, requires_grad=True)
    terms = []
    for a, p, n in chosen:
        near = (embeddings[a] - embeddings[p]).norm()
        far = (embeddings[a] - embeddings[n]).norm()
        boundary = beta[labels[a]]
        terms += [(near - boundary + 0.2).relu(), (boundary - far + 0.2).relu()]
    terms = torch.stack(terms)
    return terms.sum() / (terms > 0).sum().clamp(min=1)


def select_multi_similarity(embeddings, labels, rng):
    """Mined positives and negatives of each anchor, as positions."""
    similarities = embeddings @ embeddings.T
    chosen = []
    for a in range(len(labels)):
        same = labels == labels[a]
        same[a] = False
        other = labels != labels[a]
        near, far = similarities[a][same], similarities[a][other]
        if len(near) and len(far):
            positives = same.nonzero().squeeze(1)[near - 0.1 < far.max()]
            negatives = other.nonzero().squeeze(1)[far + 0.1 > near.min()]
            chosen.append((a, positives, negatives))
    return chosen


def multi_similarity(embeddings, labels, chosen):
    """Multi-Similarity loss; alpha 2, beta 50, threshold 0.5."""
    similarities = embeddings @ embeddings.T
    terms = [embeddings.sum() * 0]
    for a, positives, negatives in chosen:
        near, far = similarities[a][positives], similarities[a][negatives]
        terms.append(torch.log(1 + torch.exp(-2 * (near - 0.5)).sum()) / 2)
        terms.append(torch.log(1 + torch.exp(50 * (far - 0.5)).sum()) / 50)
    return torch.stack(terms).sum() / len(labels)


def select_easy_semihard(embeddings, labels, rng):
    """Easy positive and semi-hard negative of each anchor."""
    distances = torch.cdist(embeddings, embeddings).cpu().numpy()
    classes, chosen = labels.cpu().numpy(), []
    for a in range(len(classes)):
        positives = np.flatnonzero((classes == classes[a]) & (np.arange(len(classes)) != a))
        p = positives[distances[a][positives].argmin()]
        band = (distances[a] > distances[a, p]) & (distances[a] < distances[a, p] + 0.2)
        other = classes != classes[a]
        chosen.append(
            (a, p, rng.choice(np.flatnonzero(band & other if (band & other).any() else other)))
        )
    return chosen


def triplet(embeddings, labels, chosen):
    """Triplet loss on plain distances."""
    terms = []
    for a, p, n in chosen:
        near = (embeddings[a] - embeddings[p]).norm()
        terms.append((near - (embeddings[a] - embeddings[n]).norm() + 0.2).relu())
    return torch.stack(terms).mean()
