"""A user's own folder of images as a dataset."""

import logging
from collections.abc import Iterator

from dmlbench.config import Plan
from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.config.folders import contents, training_classes
from dmlbench.config.own_datasets import own_facts
from dmlbench.config.own_images import FolderDataset, OwnDataset
from dmlbench.data.dataset import Dataset, Record, get_dataset
from dmlbench.data.table import TableImages
from dmlbench.files import local_path

log = logging.getLogger(__name__)


class Folder(Dataset):
    """One folder of images for each class; whole classes are for training or for the test."""

    folder: FolderDataset
    damaged_image = "mend it, or take it out of the folder"
    wrong_count = "there were {expected:,} a moment ago; run again"

    def left_out(self) -> str:
        return contents(self.folder)[1]

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        training, (images, left_out) = training_classes(self.folder), contents(self.folder)
        if left_out:
            log.info("%s: left out: %s", self.name, left_out, extra={"tell": True})
        folder = local_path(self.folder.folder)
        for name, files in images.items():
            split = "train" if name in training else "test"
            for file in files:
                image = folder / name / file
                yield Record(f"{name}/{file}", split, {"class": name}, image)


def own_dataset(name: str, given: OwnDataset, facts: DatasetFacts | None = None) -> type[Dataset]:
    """The dataset that a config describes, with its ``facts`` if these are known.

    A ConfigError says why the folder or table cannot be one.
    """
    base, key = (Folder, "folder") if isinstance(given, FolderDataset) else (TableImages, "table")
    return type(name, (base,), {"name": name, key: given, "facts": facts or own_facts(given)})


def dataset_of(plan: Plan, name: str) -> type[Dataset]:
    """The dataset ``name``, registered or of the config; a ConfigError where there is none."""
    own = plan.benchmark.datasets
    return own_dataset(name, own[name], plan.facts(name)) if name in own else get_dataset(name)
