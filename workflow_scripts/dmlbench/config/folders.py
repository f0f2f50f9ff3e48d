"""A user's own folder of images, ``class/image``: its classes and how the config splits them."""

import hashlib
import math
import os
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from dmlbench.config.dataset_facts import DatasetFacts, Part
from dmlbench.config.models import FolderDataset
from dmlbench.errors import ConfigError

#: What counts as an image; anything else in a class folder is left alone.
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}


@dataclass(frozen=True)
class Contents:
    """What a folder holds.

    Attributes:
        images: The file names of each class, both sorted.
        left_out: How many things of each kind look as if they were meant to be images of the
            dataset, and are not.
    """

    images: dict[str, list[str]]
    left_out: Counter[str]

    @property
    def told(self) -> str:
        """What is left out, in words; empty where that is nothing."""
        return ", ".join(f"{what} ({count:,})" for what, count in sorted(self.left_out.items()))


def contents(dataset: FolderDataset) -> Contents:
    """Look through a folder once; no file is opened.

    Raises:
        ConfigError: See :func:`classes_of`; or a class without images, or something with an
            image's name that is no file.
    """
    names, top = classes_of(dataset), Path(dataset.folder)
    beside = [entry for entry in _entries(top) if _is_image(entry.name) and entry.is_file()]
    left_out = Counter({"images beside the class folders": len(beside)})
    images = {}
    for name in names:
        files = []
        for entry in _entries(top / name):
            if entry.is_dir() and not _is_image(entry.name):
                left_out["folders inside class folders"] += 1
            elif not _is_image(entry.name):
                left_out[f"{Path(entry.name).suffix.lower() or 'other'} files"] += 1
            elif entry.is_file():
                files.append(entry.name)
            else:
                raise _no_file(entry)
        if not files:
            raise ConfigError(f"'{top / name}' holds no images ({', '.join(sorted(SUFFIXES))})")
        images[name] = sorted(files)
    return Contents(images, +left_out)


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _no_file(entry: os.DirEntry) -> ConfigError:
    kind = "is a link that leads nowhere" if entry.is_symlink() else "is a pipe or device, no file"
    kind = "is a folder with an image's name" if entry.is_dir() else kind
    return ConfigError(f"'{entry.path}' {kind}; take it away or mend it")


def _entries(folder: Path) -> list[os.DirEntry]:
    """What lies in ``folder``, hidden things left out; a ConfigError where a name is no text."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except OSError as error:
        raise ConfigError(f"'{folder}' cannot be read ({error.strerror})") from None
    for entry in entries:
        # Undecodable bytes are lone surrogates to Python; line breaks would break messages.
        if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", entry.name):
            name = os.fsencode(entry.name)
            raise ConfigError(
                f"'{folder}' holds {name!r}, a name that is not UTF-8 text; rename it"
            )
    return entries


def classes_of(dataset: FolderDataset) -> list[str]:
    """The names of the class folders, sorted.

    Raises:
        ConfigError: There is no such folder, it cannot be read, or has too few classes for training
            and test.
    """
    folder = Path(dataset.folder)
    if not folder.is_dir():
        raise ConfigError(f"no folder '{folder}'; it should have a folder of images for each class")
    entries = _entries(folder)
    for entry in entries:
        if entry.is_symlink() and not os.path.exists(entry.path):
            raise _no_file(entry)
    names = sorted(entry.name for entry in entries if entry.is_dir())
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


def folder_facts(dataset: FolderDataset) -> DatasetFacts:
    """What a registered dataset states in its decorator.

    Raises:
        ConfigError: See :func:`contents`.
    """
    training = training_classes(dataset)
    counts: Counter[str] = Counter()
    for name, files in contents(dataset).images.items():
        split = "train" if name in training else "test"
        counts.update({split: len(files), f"{split}:class": 1})
    return DatasetFacts(
        train_label="class",
        train_classes=len(training),
        evaluations=(Part("test", "", "class"), Part("train", "", "class")),
        counts=dict(counts),
        mode=dataset.mode,
    )


def listing(dataset: FolderDataset) -> str:
    """A hash of the names, sizes and times of all images: it changes when one of them does."""
    digest = hashlib.sha256()
    for name, files in contents(dataset).images.items():
        for file in files:
            facts = (Path(dataset.folder) / name / file).stat()
            digest.update(f"{name}/{file}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]
