"""Features of a frozen backbone: one array for each dataset and network, read like images."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dmlbench.config import Plan, Run
from dmlbench.data.reader import ImageReader, noise, send
from dmlbench.data.store import ImageStore, content_hash
from dmlbench.errors import DataError
from dmlbench.files import replacing


def save_features(file: Path, features: torch.Tensor, index: pd.DataFrame) -> None:
    """Write N x F features of the N rows of a prepared index, with their hash and the index's."""
    features = features.cpu().contiguous()
    about = {"sha256": _hash(features), "data": content_hash(index)}
    with replacing(file) as temporary:
        temporary.write_bytes(save({"features": features}, metadata=about))


def _hash(features: torch.Tensor) -> str:
    return hashlib.sha256(features.numpy().tobytes()).hexdigest()


class FeatureReader:
    """Batches of stored features; what :class:`dmlbench.data.reader.ImageReader` is to images.

    Attributes:
        input: What :class:`dmlbench.models.embedder.Embedder` is built for.
        channels, size: As of images of one pixel: as many channels as there are features.
        sha256: The hash of all features.
    """

    size = 1

    def __init__(self, file: Path, index: pd.DataFrame, device: torch.device) -> None:
        """Read all features to ``device``.

        Raises:
            DataError: There are none, they are damaged, or they are of other images than ``index``.
        """
        try:
            with safe_open(file, "pt") as stored:
                about, features = stored.metadata() or {}, stored.get_tensor("features")
        except (OSError, SafetensorError) as error:
            raise DataError(f"{file}: no features ({error}); compute them again") from None
        if about.get("sha256") != _hash(features):
            raise DataError(f"{file}: not the features that were stored; delete it, and run again")
        if about.get("data") != content_hash(index):
            raise DataError(f"{file}: features of other images; delete it, and run again")
        self.device, self.sha256, self.channels = device, about["sha256"], features.shape[1]
        self.input = {"features": self.channels}
        self._features = features.to(device)

    def batches(
        self, rows: Iterable[np.ndarray], seeds: Iterable[np.ndarray] | None = None
    ) -> Iterator[torch.Tensor]:
        """The features of each batch: B x F, float32; ``seeds`` change nothing."""
        for batch in rows:
            yield self._features[send(batch, self.device)].float()

    def noise(self, count: int) -> torch.Tensor:
        """Some input to try a network on; see :func:`dmlbench.data.reader.noise`."""
        return noise((count, self.channels), self.device)


def reader_of(
    plan: Plan, run: Run, threads: int, device: torch.device
) -> FeatureReader | ImageReader:
    """What gives the network of a run its input: features of a frozen backbone, or images."""
    store, recipe = ImageStore(plan.data_folder(run)), plan.recipes[run.recipe]
    if file := plan.features_file(run):
        return FeatureReader(file, store.index, device)
    return ImageReader(store, recipe, threads, device)
