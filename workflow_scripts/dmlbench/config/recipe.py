"""The shape of a recipe: how a network is made, fed and trained."""

from typing import Literal

from pydantic import Field, model_validator

from dmlbench.config.section import Section
from dmlbench.plugins.types import NonNegativeFloat, PositiveFloat, PositiveInt, PositiveShare


class Optimizer(Section):
    name: Literal["adam", "adamw", "sgd"] = Field("adam", description="The optimiser.")
    lr: PositiveFloat = Field(1e-3, description="Learning rate of the network.")
    weight_decay: NonNegativeFloat = Field(0.0, description="Weight decay of the network.")
    momentum: NonNegativeFloat = Field(0.0, description="Momentum; only sgd uses it.")


class Recipe(Section):
    backbone: str = Field(description="small_cnn, or the name of any timm model.")
    weights: str = Field(
        "none",
        description="none (from scratch), a timm tag such as tv_in1k, or a file: .safetensors, or "
        ".pth, which is read without running code.",
    )
    widths: list[PositiveInt] = Field(
        [32, 64], description="Channels of each block of small_cnn.", min_length=1
    )
    hidden: int = Field(0, ge=0, description="Units of small_cnn's hidden layer; 0 for none.")
    embedding_dim: int = Field(ge=2, description="Dimension of the embedding.")
    normalize: bool = Field(True, description="L2-normalise the embedding.")
    freeze_bn: bool = Field(False, description="Keep batch norm in evaluation mode.")
    store: Literal["original", "resize256"] = Field(
        "original",
        description="Which prepared pixels to read: original keeps whole images; resize256 has "
        "their short side resized to 256, which is smaller and faster. Random crops of the two "
        "differ: 8% of 500 x 375 pixels are some 122 pixels wide, and 84 once resized, so that "
        "more of them are enlarged to 224. Papers use either; see docs/data.md.",
    )
    image_size: PositiveInt | None = Field(
        None,
        description="Side of the square input in pixels; empty keeps the stored size (whole images "
        "only).",
    )
    crop: Literal["none", "random_resized"] = Field(
        "none",
        description="What the network sees. none: whole images, squeezed to a square. "
        "random_resized: training sees torchvision's RandomResizedCrop, every second one flipped "
        "left to right; evaluation sees the centre after resizing the short side to 256/224 of "
        "image_size.",
    )
    crop_scale: list[PositiveShare] = Field(
        [0.08, 1.0],
        description="Smallest and largest share of the image's area in a random crop.",
        min_length=2,
        max_length=2,
    )
    mean_std: Literal["none", "imagenet"] = Field(
        "none",
        description="none gives the network pixels from 0 to 1; imagenet takes ImageNet's mean and "
        "deviation out of them, as most pretrained weights want it.",
    )
    invert: bool = Field(False, description="Swap dark and light (ink polarity).")
    batch_size: PositiveInt = Field(description="Images per batch.")
    epochs: PositiveInt = Field(description="Passes over as many images as the training set has.")
    optimizer: Optimizer = Field(default_factory=Optimizer, description="How to step.")
    labels: Literal["own", "shuffled"] = Field(
        "own",
        description="shuffled deals the training labels out at random, once: a control, from which "
        "nothing can be learnt that holds for other images.",
    )
    validation: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Share of the training classes held out (of the images, where the training "
        "labels are too few to hold classes out).",
    )
    test_fold: PositiveInt | None = Field(
        None, description="Of a dataset in folds, the one to test on; the others train."
    )
    monitor_every: PositiveInt = Field(1, description="Epochs between two measurements.")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="bfloat16 runs the network under autocast; selection and loss stay float32.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to train.")

    @model_validator(mode="after")
    def _no_decay_by_accident(self) -> "Recipe":
        if self.optimizer.momentum and self.optimizer.name != "sgd":
            raise ValueError(f"optimizer.momentum has no effect with {self.optimizer.name}")
        return self

    @model_validator(mode="after")
    def _crops_are_possible(self) -> "Recipe":
        if self.crop == "random_resized" and self.image_size is None:
            raise ValueError("crop random_resized needs an image_size, such as 224")
        if self.crop_scale[0] > self.crop_scale[1]:
            raise ValueError(f"crop_scale {self.crop_scale} must be smallest, then largest")
        if self.crop == "none" and self.crop_scale != Recipe.model_fields["crop_scale"].default:
            raise ValueError("crop_scale has no effect with crop none")
        return self
