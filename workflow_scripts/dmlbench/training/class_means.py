"""The means of the training classes' embeddings."""

import numpy as np
import torch
import torch.nn.functional as F

from dmlbench.data.reader import ImageReader
from dmlbench.models.embed import embed


def class_means(
    model: torch.nn.Module,
    reader: ImageReader,
    rows: np.ndarray,
    labels: np.ndarray,
) -> torch.Tensor:
    """The mean of each class's L2-normalised embeddings: classes x D, on the reader's device.

    Args:
        model: The network as it is.
        reader: The images.
        rows: N rows of the index.
        labels: Their N class numbers, 0 to the number of classes less one.
    """
    embeddings = F.normalize(embed(model, reader, rows).cpu(), dim=1)
    classes = torch.from_numpy(labels)
    sums = torch.zeros(int(classes.max()) + 1, embeddings.shape[1])
    sums.index_add_(0, classes, embeddings)
    return (sums / classes.bincount()[:, None]).to(reader.device)
