"""What a dataset is: facts in its decorator, images from its archives."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import describe
from dmlbench.plugins.registry import REGISTRIES


@dataclass(frozen=True)
class Record:
    """One image.

    ``image`` is uint8 pixels, height x width x channels; or the bytes of an image file (JPEG, PNG),
    or its path, which is read and decoded when the dataset is prepared, several at a time.
    """

    path: str  #: its name inside its source, which is its identity
    split: str  #: ``train`` or ``test``
    labels: dict[str, int | str]  #: one value for each label column
    image: np.ndarray | bytes | Path
    subset: str = ""  #: a named part of the split that is evaluated by itself
    role: str = ""  #: of a test image where the facts say ``roles``: query, gallery or both
    box: tuple[float, ...] | None = None  #: left, top, right, bottom in pixels, to cut it to


class Dataset(ABC):
    """Base of the registered datasets; the decorator sets ``name`` and ``facts``."""

    name: str
    facts: DatasetFacts
    #: How messages end that tell of an image that cannot be read, and of a count that is wrong.
    damaged_image = "the archive may be damaged"
    wrong_count = "published are {expected:,}; the archive is another version or damaged"

    def left_out(self) -> str:
        """What lies beside its images and is none of them, with counts; or nothing."""
        return ""

    @abstractmethod
    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        """Every image in any order, from the paths of the verified archives by file name."""


def register_dataset(name: str, /, **facts: object) -> Callable[[type], type]:
    """Register a dataset with its facts (:class:`DatasetFacts`); a wrong one is a ConfigError."""
    try:
        stated = DatasetFacts(**facts)
    except ValidationError as error:
        first = describe(error.errors(), DatasetFacts)[0]
        raise ConfigError(f"@register_dataset('{name}'): {first}") from None
    return REGISTRIES["dataset"].register(name, name=name, facts=stated)


def get_dataset(name: str) -> type[Dataset]:
    """The registered dataset ``name``; a ConfigError where there is none."""
    return REGISTRIES["dataset"].get(name)
