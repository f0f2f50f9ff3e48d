"""The sections of a config file that say what is compared, and the whole file.

A model checks what concerns its section alone; ``checks.py`` has what concerns two of them. Every
field has a description, from which the JSON schema for editors is made.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dmlbench.config.own_images import OwnDataset
from dmlbench.config.recipe import Recipe
from dmlbench.config.settings import (
    Data,
    Evaluation,
    GalleryFigure,
    Projection,
    Resources,
    Training,
    Unique,
)
from dmlbench.plugins.types import Name, Section, Seed, Selection


def _choice(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Choice(BaseModel):
    """A class and its options: ``easy`` or ``{type: semihard, margin: 0.1}``."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)
    type: str
    """The registered name, or the path of a class: package.module.Class."""


ChoiceField = Annotated[Choice, BeforeValidator(_choice, json_schema_input_type=str | Choice)]


class Sampler(Section):
    per_class: Annotated[int, Field(ge=2)] | None = None
    """Images of each class in a batch. Empty: all images are shuffled."""
    positive: ChoiceField | None = None
    """How an anchor's positives are chosen. Empty: the loss needs none."""
    negative: ChoiceField | None = None
    """How an anchor's negatives are chosen. Give it together with positive."""
    miner: ChoiceField | None = None
    """Instead of the two: a miner of pytorch-metric-learning by its class path."""

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
    sampler: Name | Names = "none"
    """A sampler, or several. none shuffles images and chooses no tuples."""


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value or []


PublishedNames = Annotated[
    list[str], BeforeValidator(_several, json_schema_input_type=str | list[str] | None)
]


class Experiment(Section):
    title: str = Field("", description="Caption of its tables and figures.")
    dataset: Name = Field(description="A registered dataset.")
    recipe: Name = Field(description="A recipe of this file.")
    methods: list[Method] = Field(default_factory=list, description="What is trained and compared.")
    features: list[Name] = Field(default_factory=list, exclude_if=lambda names: not names)
    """Vectors that other models made, to measure beside the methods: names of features."""
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    """Keys such as recipe.batch_size, each with a list of values to compare."""
    published: PublishedNames = Field([])
    """Published tables to print beside ours, such as [eps_table3, eps_table4]."""

    @model_validator(mode="after")
    def _compares_something(self) -> "Experiment":
        if not self.methods and not self.features:
            raise ValueError("there is nothing to compare: give methods, or features, or both")
        return self

    def combinations(self) -> list[tuple[str, str]]:
        """Every loss of each method with every sampler of it, before a sweep."""
        return [
            (loss, sampler)
            for method in self.methods
            for loss in _several(method.loss)
            for sampler in _several(method.sampler)
        ]


class Features(Section):
    """Vectors of a dataset's images that another model made."""

    file: str = Field(min_length=1, pattern=r"\.(npy|npz|parquet)$")
    """N x D numbers as .npy, .npz or .parquet: a row for each of the table's, or with paths."""
    title: str = Field("", description="Its name in tables. Empty: that of the entry.")
    pretraining: str | None = Field(None, description="The data that the model was trained on.")


Control = Literal["random", "untrained", "pca", "shuffled"]


class Benchmark(Section):
    """One config file."""

    name: Name = Field(description="Everything this config makes lies under results/<name>/.")
    seeds: Annotated[list[Seed], Unique] = Field(description="Training seeds.", min_length=1)
    selections: Annotated[list[Selection], Unique] = Field(
        ["last", "val", "test_max"], min_length=1
    )
    """Which epochs' weights are kept: the last, the best on validation or on test (the papers'
    protocol; tables say so).
    """
    data: Data = Field(default_factory=Data, description="Where archives come from.")
    datasets: dict[Name, OwnDataset] = Field(default_factory=dict)
    """Your own images, by name: a folder of class folders, or a table."""
    recipes: dict[Name, Recipe] = Field(description="How to train.")
    losses: dict[Name, ChoiceField] = Field(description="Losses by name.")
    samplers: dict[Name, Sampler] = Field(description="Samplers by name.")
    features: dict[Name, Features] = Field(default_factory=dict, exclude_if=lambda given: not given)
    """Vectors that other models made, by name; they are measured, and nothing is trained."""
    experiments: dict[Name, Experiment] = Field(description="What is compared.", min_length=1)
    evaluation: Evaluation = Field(default_factory=Evaluation, description="What is measured.")
    projection: Projection = Field(default_factory=Projection, description="t-SNE.")
    gallery: GalleryFigure = Field(default_factory=GalleryFigure)
    """The figure of images and their nearest neighbours."""
    controls: Annotated[list[Control], Unique] = Field(["random", "untrained", "shuffled"])
    """Rows below the methods of every table, with the first seed only: random vectors, the
    untrained backbone's features, these reduced to the embedding dimension (pca), the first method
    on shuffled labels.
    """
    partial: bool = False
    """Make tables and figures of the finished runs; the tables say PARTIAL."""
    training: Training = Field(default_factory=Training, description="How trainings are run.")
    resources: Resources = Field(default_factory=Resources, description="What rules ask for.")

    def as_json(self) -> str:
        """The config with defaults filled in, itself a config.

        It travels with the results, so it does not say where on this machine archives lie.
        """
        here = {"data": {"mirror", "files"}}
        return json.dumps(self.model_dump(mode="json", exclude=here), indent=1, ensure_ascii=False)
