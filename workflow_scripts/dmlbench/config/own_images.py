"""The sections of a config file that describe a user's own images: a folder, or a table."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from dmlbench.config.settings import Unique
from dmlbench.plugins.types import Section, Seed


class FolderDataset(Section):
    folder: str = Field(min_length=1)
    """A folder with one folder of images for each class."""
    split: Literal["first", "random"] = "first"
    """Which classes are for training: the first by name, or random ones."""
    train_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the classes for training. The others are for the test."""
    seed: Seed = Field(0, description="Seed of the random split.")
    mode: Literal["RGB", "L"] = Field("RGB", description="Read images in colour, or as gray.")


#: Columns of a table, of the index made from it, and of what figures draw, that are no labels.
NO_LABELS = {
    "path", "split", "role", "is_query", "is_gallery", "box", "x_1", "y_1", "x_2", "y_2", "group",
    "id", "subset", "height", "width", "channels", "offset", "crc32", "digest", "content",
    "x", "y", "method", "seed", "part", "heading",
}  # fmt: skip
LabelColumn = Annotated[str, Field(pattern=r"^[A-Za-z]\w*$", max_length=48)]


class TableDataset(Section):
    table: str = Field(min_length=1)
    """A CSV or Parquet file with a row for each image: path, label, split and more."""
    labels: Annotated[list[LabelColumn], Unique] = Field(["label"], min_length=1)
    """Its label columns. All are measured; the first one decides which epoch is best on test."""
    train_label: LabelColumn | None = None
    """The label column that training sees. Empty: the first of labels."""
    protocol: Literal["disjoint", "closed"] = "disjoint"
    """Whether the classes of the test are others than those of training, or may be the same."""
    crop: bool = Field(True, description="Cut images to their boxes, where the table has boxes.")
    mode: Literal["RGB", "L"] = Field("RGB", description="Read images in colour, or as gray.")

    @model_validator(mode="after")
    def _labels_are_labels(self) -> "TableDataset":
        if taken := sorted(NO_LABELS & set(self.labels)):
            raise ValueError(f"labels: {taken[0]} is a column with another meaning; rename yours")
        if self.train_label not in (None, *self.labels):
            raise ValueError(f"train_label: '{self.train_label}' is none of labels, {self.labels}")
        return self

    @property
    def trained_on(self) -> str:
        """The label column that training sees."""
        return self.train_label or self.labels[0]


def _kind(value: Any) -> str:
    has_table = "table" in value if isinstance(value, dict) else hasattr(value, "table")
    return "own[table]" if has_table else "own[folder]"


# The tags look like what messages leave out of a place (plugins/messages.py).
OwnDataset = Annotated[
    Annotated[FolderDataset, Tag("own[folder]")] | Annotated[TableDataset, Tag("own[table]")],
    Discriminator(_kind),
]
