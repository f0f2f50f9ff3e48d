"""What a dataset is: facts in its decorator, records from its archives."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dmlbench.plugins.registry import REGISTRIES


@dataclass(frozen=True)
class Record:
    """One image.

    Attributes:
        path: Its name inside its source, which is its identity.
        split: ``train`` or ``test``.
        subset: A named part of the split that is evaluated by itself; empty where there is none.
        labels: One value for each label column.
        image: uint8 pixels, height x width x channels; or the bytes of an image file (JPEG, PNG),
            which are decoded when the dataset is prepared, several at a time.
    """

    path: str
    split: str
    subset: str
    labels: dict[str, int | str]
    image: np.ndarray | bytes


class Dataset(ABC):
    """Base of the registered datasets."""

    #: Set by the decorator; see :func:`register_dataset`.
    name: str
    source: str
    train_label: str
    train_classes: int
    evaluations: list[tuple[str, str, str]]
    counts: dict[str, int]
    mode: str = "RGB"
    sources: list[str]
    pairs: dict[str, str]
    sub_labels: dict[str, str]
    folds: int = 0
    #: The ends of messages: what to think of an image that cannot be read, and of a wrong count.
    damaged_image: str = "the archive may be damaged"
    wrong_count: str = "published are {expected:,}; the archive is another version or damaged"

    @abstractmethod
    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        """Every image, one at a time, in any order; paths are unique.

        Args:
            raw: The verified archives' paths by file name.
        """


_DATASETS = REGISTRIES["dataset"]


def register_dataset(
    name: str,
    *,
    source: str,
    train_label: str,
    train_classes: int,
    evaluations: list[tuple[str, str, str]],
    counts: dict[str, int],
    mode: str = "RGB",
    other_sources: list[str] | None = None,
    pairs: dict[str, str] | None = None,
    sub_labels: dict[str, str] | None = None,
    folds: int = 0,
) -> Callable[[type], type]:
    """Register a dataset.

    Args:
        name: What configs call it.
        source: Whose archives it needs.
        train_label: The label column that training sees.
        train_classes: Classes of that column in the training split.
        evaluations: What is measured: (split, subset, label column). An empty subset means the
            whole split. The first one of the test split selects ``test_max``.
        counts: Images in each split or ``split/subset``, and classes as ``split:column``; all
            asserted when the dataset is prepared.
        mode: ``RGB`` or ``L`` (gray): what encoded images become; grayscale ones among colour
            images become RGB.
        other_sources: Sources that hold the same images in another form; the config's
            ``data.sources`` picks one.
        pairs: For verification, the file of pairs of each protocol
            (:mod:`dmlbench.data.verification_pairs`). The threshold of a protocol ``x`` comes from
            ``x_threshold``, else from its other folds.
        sub_labels: Of a label column, the finer one inside it, to see classes collapse.
        folds: Its parts are called fold1, fold2 and so on, this many; a recipe's ``test_fold`` says
            which of them is the test of a run, and the others train.
    """
    return _DATASETS.register(
        name,
        name=name,
        source=source,
        train_label=train_label,
        train_classes=train_classes,
        evaluations=evaluations,
        counts=counts,
        mode=mode,
        sources=[source, *(other_sources or [])],
        pairs=pairs or {},
        sub_labels=sub_labels or {},
        folds=folds,
    )


def get_dataset(name: str) -> type[Dataset]:
    """The registered dataset ``name``.

    Raises:
        ConfigError: There is none.
    """
    return _DATASETS.get(name)
