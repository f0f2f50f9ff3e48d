"""What a dataset states of itself: its sources, splits, labels and published counts."""

from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

#: What a test image can be where queries and gallery are apart.
ROLES = ("query", "gallery", "both")
#: The split of the training images that choose the best epoch, where a dataset has one of its own.
VALIDATION = "val"


class Roles(NamedTuple):
    """Which images of a part are queries, and which are in the gallery: two boolean arrays."""

    queries: Any
    gallery: Any


class Part(NamedTuple):
    """What is measured by itself: a split, a named part of it (empty: all), a label column."""

    split: str
    subset: str
    label: str

    def __str__(self) -> str:
        return " ".join(filter(None, self))

    def rows(self, index):
        """The numbers of the rows of a prepared ``index`` that belong to it, as an array."""
        mask = index["split"] == self.split
        if self.subset:
            mask &= index["subset"] == self.subset
        return mask.to_numpy().nonzero()[0]

    def roles(self, index) -> Roles | None:
        """The roles of these rows; None where each image is a query to all others.

        Only a test has others, of a dataset whose facts say ``roles``.
        """
        if self.split != "test" or "role" not in index:
            return None
        mine = index["role"].iloc[self.rows(index)]
        return Roles(*(mine.isin((role, "both")).to_numpy() for role in ("query", "gallery")))


class DatasetFacts(BaseModel):
    """What a registered dataset, or a folder of one's own, states of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = ()
    """Its sources in data/archives.yaml, the preferred one first: each holds the same images in
    another form. None for a dataset that comes in a package.
    """
    mode: Literal["L", "RGB"] = "RGB"
    """What encoded images become: gray, or colour."""
    train_label: str = Field(description="The label column that training sees.")
    train_classes: int = Field(description="Classes of that column in the training split.")
    evaluations: tuple[Part, ...]
    """What is measured. The first part of the test split selects test_max."""
    counts: dict[str, int]
    """Images as split, split/subset or split@role, classes as split:column; all are asserted."""
    sub_labels: dict[str, str] = {}
    """The finer label column inside a label column, to see classes collapse."""
    shared_labels: tuple[str, ...] = ()
    """Label columns whose test classes may also be trained on, such as kinds of products. Of the
    others none may.
    """
    views: dict[str, str] = {}
    """The file of pairs of each verification view; x_threshold is that of x."""
    roles: bool = False
    """Its index says of each test image what it is, in a column role: one of ROLES."""
    folds: int = 0
    """Its splits are fold1, fold2 and so on; test_fold picks the one to test on."""
    largest_class: int | None = None
    """Images of the largest class to train on, copies of an image among them, where that is known
    before they are read.
    """

    mixed_sizes: bool = False
    """Its images differ in size, or are no squares: a recipe must make them squares of one size."""

    @property
    def own_validation(self) -> bool:
        """Whether the dataset itself says which images choose the best epoch."""
        return VALIDATION in self.counts

    def first_test(self) -> Part:
        """The part that selects the epoch of ``test_max``."""
        return next(part for part in self.evaluations if part.split == "test")


def clusters_per_class(evaluation: Any, label: str) -> int | None:
    """Clusters per class for NMI+ of a label column, by the config; None: it is not measured."""
    given = evaluation.nmi_plus
    return given.get(label) if isinstance(given, dict) else given
