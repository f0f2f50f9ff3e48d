"""The shape of a recipe: how a network is made, fed and trained."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from dmlbench.files import WEIGHT_FILES, checksum_of
from dmlbench.plugins.image_transforms import TransformEntry
from dmlbench.plugins.messages import nearest
from dmlbench.plugins.types import NonNegativeFloat, PositiveFloat, PositiveInt, Section

#: What ``freeze`` knows beside patterns.
_FREEZES = ["none", "batch_norm", "backbone"]


class Optimizer(BaseModel):
    """How to step. Other keys, such as momentum, go to the optimiser's constructor."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)
    name: str = "adam"
    """adam, adamw, sgd, the name of any other optimiser of torch.optim or timm, or a class path."""
    lr: PositiveFloat = Field(1e-3, description="Learning rate.")
    weight_decay: NonNegativeFloat = Field(0.0, description="Weight decay of the network.")
    head_lr: PositiveFloat | None = None
    """Learning rate of the head. Empty: lr."""
    layer_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Each layer of a timm backbone learns at this share of the rate of the layer after it."""


class Schedule(Section):
    """How learning rates change, those of the head and of the loss too."""

    name: Literal["constant", "cosine", "step", "multistep"] = "constant"
    """constant: only the warm-up changes them."""
    by: Literal["epoch", "step"] = "epoch"
    """Whether rates change after each epoch, or after each step. Times are epochs all the same."""
    warmup_epochs: NonNegativeInt = 0
    """Epochs in which the rates rise in a line from warmup_start of themselves to themselves."""
    warmup_start: Annotated[float, Field(gt=0, le=1)] = 0.01
    """The share of the rates that the warm-up begins at."""
    min_lr: NonNegativeFloat = Field(0.0, description="cosine: the rate that it comes down to.")
    every: PositiveInt | None = None
    """step: epochs between two changes, counted from the end of the warm-up."""
    at: list[PositiveInt] = Field([])
    """multistep: the epochs after which the rates change, counted from the first."""
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """step and multistep: what the rates are multiplied by."""

    @model_validator(mode="after")
    def _keys_go_together(self) -> "Schedule":
        # Not by what was given: a stored config gives every key.
        fields = Schedule.model_fields.items()
        given = {key for key, field in fields if getattr(self, key) != field.default}
        owners = {"min_lr": ("cosine",), "every": ("step",), "at": ("multistep",)}
        for key, names in (owners | {"gamma": ("step", "multistep")}).items():
            if key in given and self.name not in names:
                raise ValueError(f"{key} is of {' and '.join(names)}, not of {self.name}")
        if self.name in ("step", "multistep") and not (self.every or self.at):
            key = "every: EPOCHS" if self.name == "step" else "at: [EPOCH, ...]"
            raise ValueError(f"{self.name} needs {key}")
        if "warmup_start" in given and not self.warmup_epochs:
            raise ValueError("warmup_start needs warmup_epochs")
        if "by" in given and not self.changes:
            raise ValueError("by has no effect on constant rates without warmup_epochs")
        if self.at != sorted(set(self.at)):
            raise ValueError(f"at must rise (got {self.at})")
        if self.at and self.at[0] <= self.warmup_epochs:
            raise ValueError(f"at must lie after the warm-up of {self.warmup_epochs} epochs")
        return self

    @property
    def changes(self) -> bool:
        """Whether any rate ever changes."""
        return self.name != "constant" or self.warmup_epochs > 0

    def problem(self, epochs: int) -> str:
        """Why a training of so many epochs is too short; empty if it is not."""
        if self.warmup_epochs > epochs - (self.name == "cosine"):
            return f"the warm-up takes {self.warmup_epochs} of {epochs} epochs"
        last = max([self.warmup_epochs + self.every] if self.every else self.at, default=0)
        return f"rates change after epoch {last}, but there are {epochs}" if last >= epochs else ""


class Head(Section):
    """What makes the embedding of the backbone's features."""

    type: Literal["linear", "mlp", "none"] = "linear"
    """mlp: a hidden layer with ReLU before. none: the features are the embedding."""
    hidden: PositiveInt | None = None
    """mlp: units of the hidden layer. Empty: as many as features."""
    layer_norm: bool = Field(False, description="Layer norm, without parameters, before it.")
    bias: bool = Field(True, description="Whether linear layers have biases.")


class Recipe(Section):
    base: str | None = Field(None, exclude=True)
    """A preset (docs/presets.md) or another recipe of the file, whose keys hold where this has
    none. It is resolved when the file is read.
    """
    backbone: str = Field(description="small_cnn, or the name of any timm model.")
    weights: str = "none"
    """none (from scratch), a timm tag such as tv_in1k, a file of weights, or a folder of files
    named like timm's models with their tags.
    """
    pretraining: str | None = None
    """The data that the weights were trained on, such as imagenet1k or lvd142m. Empty: as timm's
    tag says; a file needs it.
    """
    widths: list[PositiveInt] = Field([32, 64], min_length=1)
    """Channels of each block of small_cnn."""
    hidden: int = Field(0, ge=0, description="Units of small_cnn's hidden layer; 0 for none.")
    pooling: Literal["default", "avg", "max", "avg_max", "gem", "cls", "cls_avg"] = "default"
    """How a timm backbone's feature map or tokens become features. default: as timm does. avg_max:
    the sum of both. gem: a generalised mean whose exponent is learned. cls_avg: class token and
    average, one after the other.
    """
    embedding_dim: int = Field(ge=2, description="Dimension of the embedding.")
    head: Head = Field(default_factory=Head, description="From features to embedding.")
    normalize: bool | Literal["evaluation"] = True
    """L2-normalise the embedding. evaluation: not in training, but where it is measured."""
    freeze: str = "none"
    """What does not move: none, batch_norm (it stays in evaluation mode), backbone, or a pattern of
    parameter names such as "backbone.layer1.*" (batch norm among them does not move either).
    """
    features: Literal["float32", "float16"] = "float32"
    """How the features of a frozen backbone are stored (docs/training.md)."""
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
    schedule: Schedule = Field(default_factory=Schedule, description="How rates change.")
    warmup_head_epochs: NonNegativeInt = 0
    """First epochs in which only head and loss learn."""
    clip_grad_norm: PositiveFloat | None = None
    """The most that the norm of all gradients together may be. Empty: no limit."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, which is what is measured and kept."""
    chunk: PositiveInt | None = None
    """Images of a batch that go through the network at a time. Gradients are those of the whole
    batch. Batch norm must be frozen, and no dropout may be active.
    """
    compile: bool = Field(False, description="Compile the network (torch.compile).")
    labels: Literal["own", "shuffled"] = "own"
    """shuffled: a control on training labels dealt out at random, once."""
    validation: float = Field(0.1, ge=0, le=0.5)
    """Share of the training classes held out; of the images, where classes are few."""
    test_fold: PositiveInt | None = None
    """The fold to test on, where a dataset comes in folds; the others train."""
    monitor_every: PositiveInt = Field(1, description="Epochs between two measurements.")
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Of the network: tf32 rounds products on a GPU, bfloat16 runs it under autocast. Selection and
    loss stay float32.
    """
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to train.")

    @model_validator(mode="after")
    def _keys_go_together(self) -> "Recipe":
        if problem := self._of_optimisation():
            raise ValueError(problem)
        if self.head.type != "mlp" and self.head.hidden:
            raise ValueError(f"head.hidden has no effect with a {self.head.type} head")
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

    def _of_optimisation(self) -> str:
        """What is wrong among the keys that say how weights move; empty if nothing is."""
        rates, still = self.optimizer, self.freeze == "backbone"
        if problem := self.schedule.problem(self.epochs):
            return f"schedule: {problem}"
        if self.schedule.min_lr >= min(rates.lr, rates.head_lr or rates.lr):
            return f"schedule.min_lr must be below the learning rates (got {self.schedule.min_lr})"
        if self.warmup_head_epochs >= self.epochs:
            return f"warmup_head_epochs must be below epochs ({self.epochs})"
        if still and (self.warmup_head_epochs or rates.layer_decay):
            key = "warmup_head_epochs" if self.warmup_head_epochs else "optimizer.layer_decay"
            return f"{key} has no effect with freeze: backbone"
        if self.head.type == "none" and (still or self.warmup_head_epochs or rates.head_lr):
            return "head.type none has no head for freeze: backbone, warmup_head_epochs or head_lr"
        if not set(self.freeze) & set(".*?[") and self.freeze not in _FREEZES:
            return (
                f"freeze should be one of {', '.join(_FREEZES)}, or a pattern of parameter names "
                f"such as backbone.layer1.* (got '{self.freeze}'){nearest(self.freeze, _FREEZES)}"
            )
        if self.features != "float32" and not still:
            return "features has no effect without freeze: backbone"
        if self.chunk and self.chunk >= self.batch_size:
            return f"chunk must be below batch_size ({self.batch_size})"
        return ""


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
