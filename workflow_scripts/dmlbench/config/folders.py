"""A user's own folder of images, ``class/image``: its classes and how the config splits them."""

import hashlib
import math
import random
from pathlib import Path

from dmlbench.config.models import FolderDataset
from dmlbench.errors import ConfigError

#: What counts as an image; anything else in a class folder is left alone.
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def classes_of(dataset: FolderDataset) -> list[str]:
    """The names of the class folders, sorted.

    Raises:
        ConfigError: There is no such folder, or too few classes for training and test.
    """
    folder = Path(dataset.folder)
    if not folder.is_dir():
        raise ConfigError(
            f"no folder '{folder}'; give one that has a folder of images for each class"
        )
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(names) < 4:
        raise ConfigError(
            f"'{folder}' has {len(names)} class folders; two are needed to train and two to test"
        )
    return names


def training_classes(dataset: FolderDataset) -> set[str]:
    """The classes to train on: at least two, and at least two are left for the test.

    Raises:
        ConfigError: See :func:`classes_of`.
    """
    names = classes_of(dataset)
    count = math.ceil(len(names) * dataset.train_share)
    if dataset.split == "random":
        random.Random(dataset.seed).shuffle(names)
    return set(names[: min(max(count, 2), len(names) - 2)])


def image_files(dataset: FolderDataset, name: str) -> list[Path]:
    """The images of one class, sorted by name."""
    files = (Path(dataset.folder) / name).iterdir()
    return sorted(f for f in files if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))


def folder_facts(dataset: FolderDataset) -> dict:
    """What a registered dataset says in its decorator.

    Raises:
        ConfigError: See :func:`classes_of`.
    """
    training = len(training_classes(dataset))
    return {
        "train_label": "class",
        "train_classes": training,
        "evaluations": [("test", "", "class"), ("train", "", "class")],
        "counts": {
            "train:class": training,
            "test:class": len(classes_of(dataset)) - training,
        },
        "mode": dataset.mode,
    }


def listing(dataset: FolderDataset) -> str:
    """A hash of the names, sizes and times of all images: it changes when one of them does."""
    digest = hashlib.sha256()
    for name in classes_of(dataset):
        for file in image_files(dataset, name):
            facts = file.stat()
            digest.update(f"{name}/{file.name}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]
