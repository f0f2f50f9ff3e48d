"""A user's own folder of images as a dataset."""

from collections.abc import Iterator

from dmlbench.config import Plan
from dmlbench.config.folders import classes_of, folder_facts, image_files, training_classes
from dmlbench.config.models import FolderDataset
from dmlbench.data.dataset import Dataset, Record, get_dataset
from dmlbench.errors import DataError


class Folder(Dataset):
    """One folder of images for each class; whole classes are for training or for the test."""

    folder: FolderDataset

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        training = training_classes(self.folder)
        for name in classes_of(self.folder):
            files = image_files(self.folder, name)
            if not files:
                raise DataError(f"{self.folder.folder}/{name} holds no images")
            for file in files:
                yield Record(
                    path=f"{name}/{file.name}",
                    split="train" if name in training else "test",
                    subset="",
                    labels={"class": name},
                    image=file.read_bytes(),
                )


def folder_dataset(name: str, folder: FolderDataset) -> type[Dataset]:
    """The dataset that a config describes under ``datasets``.

    Raises:
        ConfigError: There is no such folder, or it has too few classes.
    """
    facts = {"name": name, "source": "", "sources": [""], "pairs": {}, "sub_labels": {}}
    facts |= {"folds": 0, "folder": folder}
    return type(name, (Folder,), facts | folder_facts(folder))


def dataset_of(plan: Plan, name: str) -> type[Dataset]:
    """The registered dataset ``name``, or the one that the config describes.

    Raises:
        ConfigError: There is none.
    """
    own = plan.benchmark.datasets
    return folder_dataset(name, own[name]) if name in own else get_dataset(name)
