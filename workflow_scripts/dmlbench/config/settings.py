"""The sections that hold for a whole config: measuring, drawing, data and resources."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from dmlbench.plugins.messages import nearest
from dmlbench.plugins.registry import REGISTRIES
from dmlbench.plugins.types import Name, PositiveFloat, PositiveInt, Section, Seed, Selection, Split


def _unique(values: list) -> list:
    if len(set(values)) != len(values):
        raise ValueError("a value is named twice")
    return values


Unique = AfterValidator(_unique)
_METRICS = REGISTRIES["metric"].classes
ClustersPerClass = Annotated[int, Field(ge=2)]


class Evaluation(Section):
    splits: Annotated[list[Split], Unique] = Field(["test"], min_length=1)
    """Splits to embed and measure."""
    metrics: Annotated[list[str], Unique] = Field(
        default_factory=lambda: [n for n, cls in _METRICS().items() if cls.measured_by_default],
        json_schema_extra=lambda schema: schema["items"].update(enum=list(_METRICS())),
        min_length=1,
    )
    """What is measured; verification only on datasets with pairs."""
    body: bool = False
    """Also measure the features that the head is given (body), for each selection."""
    recall_at: Annotated[list[PositiveInt], Unique] = Field([1, 2, 4, 8], min_length=1)
    """K of Recall@K."""
    nmi_plus: ClustersPerClass | dict[str, ClustersPerClass] = 10
    """Clusters per class for NMI+; {alphabet: 30} measures it for that label only."""
    exclude_duplicates: Annotated[bool, Field(exclude_if=lambda wanted: not wanted)] = False
    """Leave images out of the test that training has too: the same, or nearly."""
    kmeans_seeds: Annotated[list[Seed], Unique] = Field([0, 1, 2], min_length=1)
    """Seeds of k-means."""
    kmeans_restarts: PositiveInt = 3
    """Starts of each k-means. The best one is kept."""
    far: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Unique] = Field([0.01, 0.001])
    """False accept rates for which verification states the true accept rate."""

    @field_validator("metrics")
    @classmethod
    def _are_registered(cls, values: list[str]) -> list[str]:
        known = _METRICS()
        for name in values:
            if name not in known:
                raise ValueError(f"there is no metric '{name}'{nearest(name, list(known))}")
        printed = [
            name
            for name, metric in known.items()
            if not metric.of_pairs and any(m.printed for m in metric.measures.values())
        ]
        if not set(printed) & set(values):
            raise ValueError(f"name one of {', '.join(printed)}, which the tables print")
        return values


class Projection(Section):
    seeds: Annotated[list[Seed], Unique] = Field([])
    """Training seeds whose embeddings are projected. Empty: the first seed."""
    selection: Selection = Field("last", description="Which weights.")
    splits: Annotated[list[Split], Unique] = Field([])
    """Splits to project, each in a figure. Empty: those of evaluation.splits."""
    max_images: PositiveInt = 2000
    """At most this many images, here and in the histograms of similarities."""
    perplexity: PositiveFloat = Field(30.0, description="Perplexity of t-SNE.")


class GalleryFigure(Section):
    queries: PositiveInt = Field(4, description="Images to show the neighbours of.")
    neighbours: PositiveInt = Field(6, description="How many neighbours of each.")


class Data(Section):
    mirror: str | None = None
    """Folder or URL (file:// too) with <source>/<archive>. Tried before upstream."""
    sources: dict[Name, Name] = Field(default_factory=dict)
    """Which form of a dataset to take, such as {cars196: cars196_ims}."""
    files: dict[str, str] = Field({})
    """Path or URL of single archives, by file name. Tried before the mirror."""
    checksums: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field({})
    """SHA-256 of archives without a published checksum, by file name."""

    @field_validator("mirror", "files")
    @classmethod
    def _can_be_fetched(cls, value: str | dict[str, str] | None) -> str | dict[str, str] | None:
        places = value.values() if isinstance(value, dict) else [value or "."]
        for place in places:
            scheme, colon, _ = place.partition("://")
            if colon and scheme.lower() not in ("http", "https", "file"):
                raise ValueError(f"{scheme}:// cannot be fetched from, only http, https and file")
            if not place.strip():
                raise ValueError("is empty")
        return value


class Training(Section):
    """How trainings are run. No result depends on it."""

    checkpoint_minutes: PositiveFloat = 5.0
    """Minutes between two checkpoints: the most that a killed training loses."""
    scratch: str | None = Field(None, min_length=1)
    """Folder on each node's own disk, such as $SLURM_TMPDIR, to copy images to."""
    loggers: list[Literal["tensorboard", "dvclive"]] = Field(default_factory=list)
    """Which get each epoch's numbers; they write to results/<name>/loggers/."""


class RuleResources(Section):
    threads: PositiveInt = Field(1, description="CPU threads.")
    mem_mb: PositiveInt = Field(4000, description="Memory in MB.")
    runtime: PositiveInt = Field(60, description="Time limit in minutes.")
    gpu: int = Field(0, ge=0, description="GPUs.")
    partition: str | None = Field(None, min_length=1)
    """Slurm partition of this rule. Empty: the profile's."""


class TrainResources(RuleResources):
    runs_per_job: PositiveInt = 1
    """At most this many small trainings share a job, one after another. Its memory and time are
    those of the job."""


class Resources(Section):
    """What each rule asks of a scheduler. The threads of training also decide its rounding."""

    growth: Annotated[float, Field(ge=1, le=10)] = 1.5
    """A retry asks for this many times the memory and time of the last try."""
    max_mem_mb: PositiveInt | None = Field(None, description="Most memory of a retry, in MB.")
    max_runtime: PositiveInt | None = Field(1440, description="Longest retry, in minutes.")
    download: RuleResources = RuleResources(mem_mb=1000, runtime=240)
    prepare: RuleResources = RuleResources(threads=2)
    train: TrainResources = TrainResources(mem_mb=8000, runtime=720, gpu=1)
    embed: RuleResources = RuleResources(mem_mb=8000, gpu=1)
    evaluate: RuleResources = RuleResources()
    project: RuleResources = RuleResources()
    illustrate: RuleResources = RuleResources()
    collect: RuleResources = RuleResources()
    tables: RuleResources = RuleResources()
    figures: RuleResources = RuleResources()
    report: RuleResources = RuleResources()

    @model_validator(mode="before")
    @classmethod
    def _keep_what_is_not_named(cls, values: object) -> object:
        """``train: {mem_mb: 16000}`` still asks for a GPU and half a day."""
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        for name, field in cls.model_fields.items():
            if isinstance(field.default, RuleResources) and isinstance(values.get(name), dict):
                filled[name] = field.default.model_dump() | values[name]
        return filled

    def grown(self, rule: str, key: Literal["mem_mb", "runtime"], attempt: int) -> int:
        """What a rule asks for when it is tried for the ``attempt``-th time."""
        first = getattr(getattr(self, rule), key)
        grown = math.ceil(first * self.growth ** (attempt - 1))
        return max(first, min(grown, getattr(self, f"max_{key}") or grown))
