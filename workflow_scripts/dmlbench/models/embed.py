"""Embedding many images."""

import numpy as np
import torch

from dmlbench.data.reader import ImageReader


@torch.no_grad()
def embed(
    model: torch.nn.Module,
    reader: ImageReader,
    rows: np.ndarray,
    device: torch.device,
    batch_size: int = 512,
) -> np.ndarray:
    """The embeddings of ``rows``, in their order: float32, N x D.

    The model is in evaluation mode meanwhile and as before afterwards.
    """
    was_training = model.training
    model.eval()
    batches = torch.from_numpy(rows).split(batch_size)
    parts = [model(reader.batch(batch, device)).float().cpu() for batch in batches]
    model.train(was_training)
    return torch.cat(parts).numpy()
