"""Selection and loss as reference codes write them: a Python loop over the anchors of a batch.

Only what the comparison in ``losses.py`` needs; correctness is tested elsewhere.
"""

import numpy as np
import torch


def distance_weighted_margin(embeddings, labels, rng):
    """Each positive of an anchor with one distance-weighted negative, margin loss, beta 1.2."""
    with torch.no_grad():
        distances = torch.cdist(embeddings, embeddings).cpu().numpy()
    classes, dim = labels.cpu().numpy(), embeddings.shape[1]
    terms = []
    for a in range(len(classes)):
        d = np.clip(distances[a], 0.5, 1.99)
        log = (2 - dim) * np.log(d) - (dim - 3) / 2 * np.log(1 - d**2 / 4)
        valid = (classes != classes[a]) & (distances[a] < 1.4)
        if not valid.any():
            valid, log = classes != classes[a], np.zeros_like(log)
        weights = np.exp(np.where(valid, log - log[valid].max(), -np.inf))
        for p in np.flatnonzero(classes == classes[a]):
            if p != a:
                n = rng.choice(len(classes), p=weights / weights.sum())
                near = (embeddings[a] - embeddings[p]).norm()
                far = (embeddings[a] - embeddings[n]).norm()
                terms += [(near - 1.2 + 0.2).relu(), (1.2 - far + 0.2).relu()]
    terms = torch.stack(terms)
    return terms.sum() / (terms > 0).sum().clamp(min=1)


def multi_similarity(embeddings, labels, rng):
    """Mining and Multi-Similarity loss, anchor by anchor; alpha 2, beta 50, threshold 0.5."""
    similarities = embeddings @ embeddings.T
    terms = [embeddings.sum() * 0]
    for a in range(len(labels)):
        same = labels == labels[a]
        same[a] = False
        near, far = similarities[a][same], similarities[a][labels != labels[a]]
        far, near = far[far + 0.1 > near.min()], near[near - 0.1 < far.max()]
        if len(near) and len(far):
            terms.append(torch.log(1 + torch.exp(-2 * (near - 0.5)).sum()) / 2)
            terms.append(torch.log(1 + torch.exp(50 * (far - 0.5)).sum()) / 50)
    return torch.stack(terms).sum() / len(labels)


def easy_semihard_triplet(embeddings, labels, rng):
    """Easy positive, semi-hard negative, triplet loss on plain distances."""
    with torch.no_grad():
        distances = torch.cdist(embeddings, embeddings).cpu().numpy()
    classes, terms = labels.cpu().numpy(), []
    for a in range(len(classes)):
        positives = np.flatnonzero((classes == classes[a]) & (np.arange(len(classes)) != a))
        p = positives[distances[a][positives].argmin()]
        band = (distances[a] > distances[a, p]) & (distances[a] < distances[a, p] + 0.2)
        other = classes != classes[a]
        n = rng.choice(np.flatnonzero(band & other if (band & other).any() else other))
        near = (embeddings[a] - embeddings[p]).norm()
        terms.append((near - (embeddings[a] - embeddings[n]).norm() + 0.2).relu())
    return torch.stack(terms).mean()
