"""Networks: a backbone (timm's, or a small one), the embedding head, and embedding images."""

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
from dmlbench.errors import ConfigError, DataError
from dmlbench.files import WEIGHT_FILES, checksum_of

#: Images embedded at a time, and their input values: those of 112 colour images at 224 pixels.
_IMAGES, _VALUES = 512, 112 * 3 * 224 * 224


class Embedder(nn.Module):
    """A backbone, a linear layer to the embedding dimension and, if asked, L2 normalisation."""

    def __init__(self, recipe: dict, channels: int, image_size: int) -> None:
        """Build from a resolved recipe for images of ``channels`` x ``image_size`` squared.

        A ConfigError says that the backbone or its weights cannot be had.
        """
        super().__init__()
        self.normalize = recipe["normalize"]
        if recipe["backbone"] == "small_cnn":
            self.backbone = SmallCNN(channels, image_size, recipe["widths"], recipe["hidden"])
        else:
            self.backbone = _timm_backbone(recipe["backbone"], recipe["weights"], channels)
        self.head = nn.Linear(self.backbone.num_features, recipe["embedding_dim"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """B x C x H x W to B x D, float32."""
        # Under autocast the head gives half precision, in which no vector has length 1.
        embeddings = self.head(self.backbone(images)).float()
        return F.normalize(embeddings, dim=1) if self.normalize else embeddings

    def sha256(self) -> str:
        """The hash of all weights as they are, names included."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


class SmallCNN(nn.Module):
    """Blocks of 3x3 convolution, ReLU and 2x2 max-pooling, then an optional hidden layer.

    EPS calls its MNIST network "a simple shallow architecture" (section 5.1) and says no more.
    ``num_features`` is the size of the output. Pooling stops at one pixel.
    """

    def __init__(self, channels: int, image_size: int, widths: list[int], hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = image_size
        for width in widths:
            layers += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU()]
            if size > 1:
                layers.append(nn.MaxPool2d(2))
                size //= 2
            channels = width
        layers.append(nn.Flatten())
        self.num_features = channels * size * size
        if hidden:
            layers += [nn.Linear(self.num_features, hidden), nn.ReLU()]
            self.num_features = hidden
        self.layers = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """B x C x H x W to B x num_features."""
        return self.layers(images)


def _timm_backbone(name: str, weights: str, channels: int) -> nn.Module:
    import timm  # seconds to import, and small networks do without

    if not timm.is_model(name):
        raise ConfigError(
            f"backbone '{name}' is neither small_cnn nor a timm model; "
            f"near it: {timm.list_models(f'*{name[:6]}*')[:5]}"
        )
    tag, options = name, {"pretrained": weights != "none"}
    if weights.endswith(WEIGHT_FILES):
        if not Path(weights).is_file():
            raise ConfigError(f"weights: no file {weights}")
        options["pretrained_cfg_overlay"] = {"file": weights}
    elif weights != "none":
        tag = f"{name}.{weights}"
    start = torch.get_rng_state()
    try:
        model = timm.create_model(tag, num_classes=0, in_chans=channels, **options)
    except Exception as error:  # whatever timm and what reads or fetches files for it raise
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"weights '{weights}' of {name} cannot be had ({reason}); fetch them once on a machine "
            "with network (timm keeps them in its cache), name a file of them (.safetensors, or "
            ".pth with nothing but tensors), or train from scratch with weights: none"
        ) from None
    if options["pretrained"]:
        with torch.random.fork_rng():
            torch.set_rng_state(start)
            random = timm.create_model(name, num_classes=0, in_chans=channels).state_dict()
        left = [k for k, v in model.state_dict().items() if v.dim() > 1 and v.equal(random[k])]
        if left:  # timm only warns
            raise ConfigError(
                f"weights '{weights}' lack {len(left)} tensors of {name}, such as {left[0]}; are "
                "they of another model?"
            )
    return model


def load_model(folder: Path, record: dict, selection: str, device: torch.device) -> Embedder:
    """The model of one selection, ready to embed; a DataError where its weights are not whole."""
    file = folder / paths.model(selection)
    if not file.is_file():
        raise DataError(f"{file} is missing; train the run again")
    # A flipped bit loads without a word. Records of earlier versions hold no checksums.
    if record.get("outputs", {}).get(file.name) not in (None, checksum_of(file)):
        raise DataError(f"{file} is not what its training wrote (run.json); train the run again")
    # The backbone's own weights are about to be replaced: no need to fetch pretrained ones.
    recipe = {**record["run"]["recipe"], "weights": "none"}
    model = Embedder(recipe, **record["input"]).to(device)
    try:
        model.load_state_dict(load_file(file, device=str(device)))
    except (OSError, RuntimeError, SafetensorError) as error:
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
