"""The shape of a config file, section by section.

Only what can be checked inside one section is checked here; what needs two sections is in
``build``. Every field has a description: the JSON schema for editors is made from them.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from dmlbench.config.types import (
    Majority,
    Name,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Seed,
    Selection,
    Split,
)


class Section(BaseModel):
    """A part of the config: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


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


def _choice(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Choice(BaseModel):
    """A class and its options: ``easy`` or ``{type: semihard, margin: 0.1}``."""

    model_config = ConfigDict(extra="allow")
    type: str = Field(
        description="The registered name, or the path of a class: package.module.Class."
    )

    @property
    def options(self) -> dict:
        return dict(self.model_extra or {})

    def flat(self) -> dict:
        return {"type": self.type, **self.options}


ChoiceField = Annotated[Choice, BeforeValidator(_choice, json_schema_input_type=str | Choice)]


class Sampler(Section):
    per_class: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="Images of each class in a batch; empty shuffles all images, which is what "
        "proxy losses take.",
    )
    positive: ChoiceField | None = Field(
        None, description="How an anchor's positives are chosen; empty where the loss needs none."
    )
    negative: ChoiceField | None = Field(
        None, description="How an anchor's negatives are chosen; goes with positive."
    )
    miner: ChoiceField | None = Field(
        None,
        description="The class path of a miner of pytorch-metric-learning, with its arguments, in "
        "the place of positive and negative.",
    )

    @model_validator(mode="after")
    def _choices_go_together(self) -> "Sampler":
        if (self.positive is None) != (self.negative is None):
            raise ValueError("positive and negative go together: give both or neither")
        if self.miner and self.positive:
            raise ValueError("a miner takes the place of positive and negative: give one of them")
        return self


Names = Annotated[list[Name], Field(min_length=1)]


class Method(Section):
    loss: Name | Names = Field(description="A loss, or several.")
    sampler: Name | Names = Field(
        "none", description="A sampler, or several; none shuffles images and chooses no tuples."
    )

    def pairs(self) -> list[tuple[str, str]]:
        """Every loss of the method with every sampler of it."""
        losses = [self.loss] if isinstance(self.loss, str) else self.loss
        samplers = [self.sampler] if isinstance(self.sampler, str) else self.sampler
        return [(loss, sampler) for loss in losses for sampler in samplers]


class Experiment(Section):
    title: str = Field("", description="Caption of its tables and figures.")
    dataset: Name = Field(description="A registered dataset.")
    recipe: Name = Field(description="A recipe of this file.")
    methods: list[Method] = Field(description="What is compared.", min_length=1)
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Keys such as recipe.batch_size or sampler.per_class with a list of values; "
        "each value becomes an entry of its own.",
    )
    published: str | None = Field(
        None, description="Published table to print beside ours, such as eps_table1."
    )


ClustersPerClass = Annotated[int, Field(ge=2)]
Metric = Literal[
    "recall", "r_precision", "map_at_r", "mrr", "nmi", "nmi_plus", "ami", "verification", "collapse"
]


class Evaluation(Section):
    splits: list[Split] = Field(["test"], description="Splits to embed and measure.", min_length=1)
    metrics: list[Metric] = Field(
        list(get_args(Metric)),
        description="What is measured; verification only of datasets with pairs. Changing it, or "
        "anything here but splits, measures the stored embeddings anew and trains nothing.",
        min_length=1,
    )
    recall_at: list[PositiveInt] = Field([1, 2, 4, 8], description="K of Recall@K.", min_length=1)
    nmi_plus: ClustersPerClass | dict[str, ClustersPerClass] = Field(
        10,
        description="NMI+ uses this many clusters per class; by label column, it is measured for "
        "those labels only.",
    )
    kmeans_seeds: list[Seed] = Field([0, 1, 2], description="Seeds of k-means.", min_length=1)
    kmeans_restarts: PositiveInt = Field(
        3, description="Starts of each k-means; the best one is kept."
    )
    far: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        [0.01, 0.001],
        description="False accept rates at which verification states the true accept rate.",
    )

    @field_validator("metrics")
    @classmethod
    def _tables_have_something(cls, values: list) -> list:
        if not {"recall", "nmi", "nmi_plus"} & set(values):
            raise ValueError("name one of recall, nmi and nmi_plus, which the tables print")
        return values

    def nmi_plus_of(self, label: str) -> int | None:
        """Clusters per class for NMI+ of a label column; None where it is not measured."""
        return self.nmi_plus.get(label) if isinstance(self.nmi_plus, dict) else self.nmi_plus

    @field_validator("metrics", "recall_at", "kmeans_seeds", "far")
    @classmethod
    def _no_repeats(cls, values: list) -> list:
        if len(set(values)) != len(values):
            raise ValueError("a value is named twice")
        return values


class Projection(Section):
    seeds: list[int] = Field(
        [], description="Training seeds whose embeddings are projected; none: the first seed."
    )
    selection: Selection = Field("last", description="Which weights.")
    split: Split = Field("test", description="Which images.")
    max_images: PositiveInt = Field(2000, description="At most this many images, evenly spaced.")
    perplexity: PositiveFloat = Field(30.0, description="Perplexity of t-SNE.")


class Theory(Section):
    """The simulation of EPS section 4; its lengths are in units of the root of the margin."""

    p: list[Majority] = Field(
        [1.0, 0.95, 0.9, 0.8, 0.7],
        description="Chances that a point carries the label of its class.",
        min_length=1,
    )
    dimensions: list[PositiveInt] = Field(
        [2, 8, 32], description="Dimensions of the embedding.", min_length=1
    )
    points_per_mode: int = Field(6, ge=2, description="Points of each of the four modes.")
    starts: PositiveInt = Field(3, description="Starts of each kind.")
    steps: PositiveInt = Field(1500, description="Steps of gradient descent.")
    beta_start: PositiveFloat = Field(
        6.0, description="Where the margin loss's learned beta starts, in units of the margin."
    )

    @field_validator("p", "dimensions")
    @classmethod
    def _no_repeats(cls, values: list) -> list:
        if len(set(values)) != len(values):
            raise ValueError("a value is named twice")
        return values


class Data(Section):
    mirror: str | None = Field(
        None,
        description="Folder or URL (file:// too) with <source>/<archive>, tried before upstream.",
    )
    sources: dict[Name, Name] = Field(
        default_factory=dict,
        description="For a dataset that comes in several forms, which to take: "
        "{cars196: cars196_ims}.",
    )
    files: dict[str, str] = Field(
        {},
        description="Path or URL of single archives by file name, tried before the mirror.",
    )
    checksums: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        {},
        description="SHA-256 of archives that nobody has published a checksum of, by file name.",
    )


class Training(Section):
    """What no result depends on."""

    checkpoint_minutes: PositiveFloat = Field(
        5.0, description="Minutes between two checkpoints; what a killed training loses at most."
    )
    loggers: list[Literal["tensorboard", "dvclive"]] = Field(
        default_factory=list,
        description="Who else is told of each epoch; results/<name>/loggers/ holds what they keep.",
    )


class RuleResources(Section):
    threads: PositiveInt = Field(1, description="CPU threads.")
    mem_mb: PositiveInt = Field(4000, description="Memory in MB.")
    runtime: PositiveInt = Field(60, description="Time limit in minutes.")
    gpu: int = Field(0, ge=0, description="GPUs.")


class Resources(Section):
    """What each rule asks of a scheduler; training threads also decide its rounding."""

    download: RuleResources = RuleResources(mem_mb=1000, runtime=240)
    prepare: RuleResources = RuleResources(threads=2)
    train: RuleResources = RuleResources(mem_mb=8000, runtime=720, gpu=1)
    embed: RuleResources = RuleResources(mem_mb=8000, gpu=1)
    evaluate: RuleResources = RuleResources()
    project: RuleResources = RuleResources()
    collect: RuleResources = RuleResources()
    tables: RuleResources = RuleResources()
    figures: RuleResources = RuleResources()
    report: RuleResources = RuleResources()
    # Tensors of the simulation are small: a second thread gains a tenth, and loses minutes where
    # another process shares the cores.
    simulate: RuleResources = RuleResources(mem_mb=2000)
    theory: RuleResources = RuleResources()


class FolderDataset(Section):
    folder: str = Field(description="A folder with one folder of images for each class.")
    split: Literal["first", "random"] = Field(
        "first", description="Which classes train: the first ones by name, or drawn at random."
    )
    train_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5, description="Share of the classes to train on; the others are for the test."
    )
    seed: Seed = Field(0, description="Of the random split.")
    mode: Literal["RGB", "L"] = Field("RGB", description="Colour, or grey levels.")


class Benchmark(Section):
    """One config file."""

    name: Name = Field(description="Everything this config makes lies under results/<name>/.")
    seeds: list[Seed] = Field(description="Training seeds.", min_length=1)
    selections: list[Selection] = Field(
        ["last", "val", "test_max"],
        description="Which epochs' weights are kept: the last, the best on validation, the best "
        "on test (the papers' protocol, always labelled).",
        min_length=1,
    )
    data: Data = Field(default_factory=Data, description="Where archives come from.")
    datasets: dict[Name, FolderDataset] = Field(
        default_factory=dict, description="One's own folders of images, by name."
    )
    recipes: dict[Name, Recipe] = Field(description="How to train.")
    losses: dict[Name, ChoiceField] = Field(description="Losses by name.")
    samplers: dict[Name, Sampler] = Field(description="Samplers by name.")
    experiments: dict[Name, Experiment] = Field(description="What is compared.", min_length=1)
    evaluation: Evaluation = Field(default_factory=Evaluation, description="What is measured.")
    projection: Projection = Field(default_factory=Projection, description="t-SNE.")
    theory: Theory = Field(default_factory=Theory, description="The simulation of EPS section 4.")
    training: Training = Field(default_factory=Training, description="How trainings are run.")
    resources: Resources = Field(default_factory=Resources, description="What rules ask for.")

    @field_validator("seeds", "selections")
    @classmethod
    def _no_repeats(cls, values: list) -> list:
        if len(set(values)) != len(values):
            raise ValueError("a value is named twice")
        return values
