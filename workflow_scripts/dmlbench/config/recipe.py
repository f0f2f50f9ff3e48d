"""The shape of a recipe: how a network is made, fed and trained."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from dmlbench.files import WEIGHT_FILES, checksum_of
from dmlbench.plugins.image_transforms import TransformEntry
from dmlbench.plugins.types import NonNegativeFloat, PositiveFloat, PositiveInt, Section


class Optimizer(Section):
    name: Literal["adam", "adamw", "sgd"] = Field("adam", description="The optimiser.")
    lr: PositiveFloat = Field(1e-3, description="Learning rate of the network.")
    weight_decay: NonNegativeFloat = Field(0.0, description="Weight decay of the network.")
    momentum: NonNegativeFloat = Field(0.0, description="Momentum; only sgd uses it.")


class Recipe(Section):
    backbone: str = Field(description="small_cnn, or the name of any timm model.")
    weights: str = "none"
    """none (from scratch), a timm tag such as tv_in1k, or a file of weights."""
    widths: list[PositiveInt] = Field([32, 64], min_length=1)
    """Channels of each block of small_cnn."""
    hidden: int = Field(0, ge=0, description="Units of small_cnn's hidden layer; 0 for none.")
    embedding_dim: int = Field(ge=2, description="Dimension of the embedding.")
    normalize: bool = Field(True, description="L2-normalise the embedding.")
    freeze_bn: bool = Field(False, description="Keep batch norm in evaluation mode.")
    store: Literal["original", "resize256"] = "original"
    """Which prepared pixels to read: whole images, or their short side resized to 256, which is
    faster. Random crops of the two differ: see docs/data.md.
    """
    image_size: PositiveInt | None = None
    """Side of the square input in pixels. Empty: the stored size, or that of the weights (mean_std:
    weights).
    """
    crop: Literal["none", "random_resized"] = "none"
    """What image_size stands for. none: Resize to a square. random_resized: RandomResizedCrop and
    RandomHorizontalFlip for training; for evaluation Resize of the short side to 256/224 of
    image_size, and CenterCrop.
    """
    train_transforms: list[TransformEntry] | None = None
    """Transforms of torchvision.transforms.v2 for training, by name with their arguments:
    [{RandomResizedCrop: {size: 224}}, RandomHorizontalFlip]. Empty: what crop and image_size say;
    with crop none the same as for evaluation.
    """
    eval_transforms: list[TransformEntry] | None = None
    """The same for evaluation. Empty: what crop and image_size say."""
    mean_std: Literal["none", "imagenet", "weights"] = "none"
    """Mean and deviation taken out of the pixels (none: pixels from 0 to 1). weights: those of the
    weights by timm, with their interpolation and, where it is empty, their image_size.
    """
    batch_size: PositiveInt = Field(description="Images per batch.")
    epochs: PositiveInt = Field(description="Passes over as many images as the training set has.")
    optimizer: Optimizer = Field(default_factory=Optimizer, description="How to step.")
    labels: Literal["own", "shuffled"] = "own"
    """shuffled: a control on training labels dealt out at random, once."""
    validation: float = Field(0.1, ge=0, le=0.5)
    """Share of the training classes held out; of the images, where classes are few."""
    test_fold: PositiveInt | None = None
    """The fold to test on, where a dataset comes in folds; the others train."""
    monitor_every: PositiveInt = Field(1, description="Epochs between two measurements.")
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 runs the network under autocast; selection and loss stay float32."""
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to train.")

    @model_validator(mode="after")
    def _keys_go_together(self) -> "Recipe":
        if self.optimizer.momentum and self.optimizer.name != "sgd":
            raise ValueError(f"optimizer.momentum has no effect with {self.optimizer.name}")
        own = self.train_transforms is not None and self.eval_transforms is not None
        if own and (self.image_size or self.crop != "none"):
            raise ValueError(
                "image_size and crop have no effect beside train_transforms and eval_transforms; "
                "leave them out"
            )
        if self.crop == "random_resized" and not self.image_size and self.mean_std != "weights":
            raise ValueError("crop random_resized needs an image_size, such as 224")
        if self.mean_std == "weights" and self.weights == "none":
            raise ValueError("mean_std weights needs weights; take imagenet or none")
        return self


def weights_hash(weights: str) -> str | None:
    """The SHA-256 of a file of weights; None of weights that have a name, or are not there."""
    file = Path(weights)
    if not weights.endswith(WEIGHT_FILES) or not file.is_file():
        return None
    about = file.stat()
    return _sha256(file, about.st_mtime_ns, about.st_size)


@lru_cache
def _sha256(file: Path, *about: int) -> str:
    return checksum_of(file)
