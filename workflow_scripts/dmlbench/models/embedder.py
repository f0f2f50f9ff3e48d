"""The network: a backbone and a head; loading it, and embedding images with it."""

import hashlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dmlbench import paths
from dmlbench.data.reader import ImageReader
from dmlbench.errors import DataError
from dmlbench.files import checksum_of
from dmlbench.models.backbones import build_backbone, feature_count
from dmlbench.models.heads import build_head

#: Images embedded at a time, and their input values: those of 112 colour images at 224 pixels.
_IMAGES, _VALUES = 512, 112 * 3 * 224 * 224


class Embedder(nn.Module):
    """A backbone, a head to the embedding dimension and, if asked, L2 normalisation.

    ``backbone`` gives the features, pooled as the recipe says: B x C x H x W to B x
    ``num_features``. ``head`` makes the embedding of them.
    """

    def __init__(
        self, recipe: dict, channels: int = 0, image_size: int = 0, features: int = 0
    ) -> None:
        """Build from a resolved recipe for images of ``channels`` x ``image_size`` squared.

        With ``features``, so many numbers of a frozen backbone are given in the place of an image.
        A ConfigError says that the backbone or its weights cannot be had, or that it or the head
        does not fit.
        """
        super().__init__()
        self.normalize = recipe["normalize"]
        self.backbone = nn.Identity() if features else build_backbone(recipe, channels, image_size)
        count = features or feature_count(self.backbone, channels, image_size)
        self.num_features = count
        self.head = build_head(recipe["head"], self.num_features, recipe["embedding_dim"])

    def forward(self, images: torch.Tensor, *, with_features: bool = False) -> torch.Tensor:
        """B x C x H x W to B x D, float32; with features, B x (D + ``num_features``)."""
        features = self.backbone(images)
        # Under autocast the head gives half precision, in which no vector has length 1.
        embeddings = self.head(features).float()
        unit = not self.training if self.normalize == "evaluation" else self.normalize
        embeddings = F.normalize(embeddings, dim=1) if unit else embeddings
        return torch.cat([embeddings, features.float()], dim=1) if with_features else embeddings

    def sha256(self) -> str:
        """The hash of all weights as they are, names included."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def load_model(folder: Path, record: dict, selection: str, device: torch.device) -> Embedder:
    """The model of one selection, ready to embed; a DataError where its weights are not whole."""
    file = folder / paths.model(selection)
    if not file.is_file():
        raise DataError(f"{file} is missing; train the run again")
    # A flipped bit loads without a word.
    if record.get("outputs", {}).get(file.name) != checksum_of(file):
        raise DataError(f"{file} is not what its training wrote (run.json); train the run again")
    # The backbone's own weights are about to be replaced: no need to fetch pretrained ones.
    recipe = {**record["run"]["recipe"], "weights": "none"}
    model = Embedder(recipe, **record["input"]).to(device)
    try:
        model.load_state_dict(load_file(file, device=str(device)))
    except (RuntimeError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{file} is damaged ({reason}); train again") from None
    return model.eval()


@torch.no_grad()
def embed(model: nn.Module, reader: ImageReader, rows: np.ndarray) -> torch.Tensor:
    """The embeddings of ``rows``, in their order: float32, N x D, where the reader's images are.

    The model is in evaluation mode meanwhile and as before afterwards.
    """
    batch_size = max(1, min(_IMAGES, _VALUES // (reader.channels * reader.size**2)))
    was_training = model.training
    model.eval()
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    parts = [model(images).float() for images in reader.batches(batches)]
    model.train(was_training)
    return torch.cat(parts)


def class_means(
    model: nn.Module, reader: ImageReader, rows: np.ndarray, labels: np.ndarray
) -> torch.Tensor:
    """The mean of each class's L2-normalised embeddings: classes x D, on the reader's device.

    ``rows`` are N rows of the index, ``labels`` their class numbers from 0.
    """
    embeddings = F.normalize(embed(model, reader, rows).cpu(), dim=1)
    classes = torch.from_numpy(labels)
    sums = torch.zeros(int(classes.max()) + 1, embeddings.shape[1])
    sums.index_add_(0, classes, embeddings)
    return (sums / classes.bincount()[:, None]).to(reader.device)
