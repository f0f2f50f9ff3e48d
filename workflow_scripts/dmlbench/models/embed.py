"""Embedding many images, and the means of their classes."""

import numpy as np
import torch
import torch.nn.functional as F

from dmlbench.data.reader import ImageReader

#: Images embedded at a time, and their input values: those of 112 colour images at 224 pixels.
_IMAGES, _VALUES = 512, 112 * 3 * 224 * 224


@torch.no_grad()
def embed(model: torch.nn.Module, reader: ImageReader, rows: np.ndarray) -> torch.Tensor:
    """The embeddings of ``rows``, in their order: float32, N x D, where the reader's images are.

    The model is in evaluation mode meanwhile and as before afterwards.
    """
    image = reader.channels * reader.size**2
    batch_size = max(1, min(_IMAGES, _VALUES // image))
    was_training = model.training
    model.eval()
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    parts = [model(images).float() for images in reader.batches(batches)]
    model.train(was_training)
    return torch.cat(parts)


def class_means(
    model: torch.nn.Module, reader: ImageReader, rows: np.ndarray, labels: np.ndarray
) -> torch.Tensor:
    """The mean of each class's L2-normalised embeddings: classes x D, on the reader's device.

    ``rows`` are N rows of the index, ``labels`` their class numbers from 0.
    """
    embeddings = F.normalize(embed(model, reader, rows).cpu(), dim=1)
    classes = torch.from_numpy(labels)
    sums = torch.zeros(int(classes.max()) + 1, embeddings.shape[1])
    sums.index_add_(0, classes, embeddings)
    return (sums / classes.bincount()[:, None]).to(reader.device)
