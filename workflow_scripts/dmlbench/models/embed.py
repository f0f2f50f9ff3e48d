"""Embedding many images."""

import numpy as np
import torch

from dmlbench.data.reader import ImageReader


@torch.no_grad()
def embed(
    model: torch.nn.Module,
    reader: ImageReader,
    rows: np.ndarray,
    batch_size: int = 512,
) -> torch.Tensor:
    """The embeddings of ``rows``, in their order: float32, N x D, where the reader's images are.

    The model is in evaluation mode meanwhile and as before afterwards.
    """
    was_training = model.training
    model.eval()
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    parts = [model(images).float() for images in reader.batches(batches)]
    model.train(was_training)
    return torch.cat(parts)
