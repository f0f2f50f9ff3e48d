"""t-SNE."""

import numpy as np


def tsne(embeddings: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """Coordinates in the plane, N x 2 (van der Maaten and Hinton 2008, as in EPS figure 6).

    scikit-learn's Barnes-Hut version, PCA start; the same for the same input on the same machine.
    """
    from sklearn.manifold import TSNE

    fitting = min(perplexity, (len(embeddings) - 1) / 3)
    engine = TSNE(perplexity=fitting, init="pca", random_state=seed % 2**32, n_jobs=1)
    return engine.fit_transform(embeddings.astype(np.float32))


def evenly(count: int, at_most: int) -> np.ndarray:
    """Up to ``at_most`` of ``count`` positions, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, at_most)).round().astype(int))
