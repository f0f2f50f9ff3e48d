"""What a dataset is: facts in its decorator, images from its archives."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import describe
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
    """Base of the registered datasets.

    Attributes:
        name: What configs call it; set by the decorator, like ``facts``.
        facts: What it states of itself.
        damaged_image: The end of a message: what to think of an image that cannot be read.
        wrong_count: The same of a count that is not the published one.
    """

    name: str
    facts: DatasetFacts
    damaged_image: str = "the archive may be damaged"
    wrong_count: str = "published are {expected:,}; the archive is another version or damaged"

    @abstractmethod
    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        """Every image, one at a time, in any order; paths are unique.

        Args:
            raw: The verified archives' paths by file name.
        """


def register_dataset(name: str, /, **facts: object) -> Callable[[type], type]:
    """Register a dataset under ``name`` with its ``facts``, the fields of :class:`DatasetFacts`.

    Raises:
        ConfigError: A fact is missing, unknown or of another type.
    """
    try:
        stated = DatasetFacts(**facts)
    except ValidationError as error:
        first = describe(error.errors()[0], DatasetFacts)
        raise ConfigError(f"@register_dataset('{name}'): {first}") from None
    return REGISTRIES["dataset"].register(name, name=name, facts=stated)


def get_dataset(name: str) -> type[Dataset]:
    """The registered dataset ``name``; a ConfigError where there is none."""
    return REGISTRIES["dataset"].get(name)
