"""A user's own folder of images, ``class/image``: its classes and how the config splits them."""

import math
import os
import random
import re
from collections import Counter
from pathlib import Path

from dmlbench.config.dataset_facts import DatasetFacts, Part
from dmlbench.config.look_alikes import look_alikes
from dmlbench.config.own_images import FolderDataset
from dmlbench.errors import ConfigError
from dmlbench.files import local_path

#: What counts as an image; anything else in a class folder is left alone.
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}


def contents(dataset: FolderDataset) -> tuple[dict[str, list[str]], str]:
    """The file names of each class, both sorted; and in words what else is there, or "".

    Raises:
        ConfigError: See :func:`training_classes`; or a class without images, or something with an
            image's name that is no file.
    """
    images: dict[str, list[str]] = {}
    left_out: Counter[str] = Counter()
    for place in _class_folders(dataset):
        images[place.name] = []
        for path in _entries(place):
            if path.suffix.lower() in SUFFIXES:
                if not path.is_file():
                    raise _no_file(path)
                images[place.name].append(path.name)
            elif path.is_dir():
                left_out["folders inside class folders"] += 1
            else:
                left_out[f"{path.suffix.lower() or 'other'} files"] += 1
        if not images[place.name]:
            raise ConfigError(f"'{place}' holds no images ({', '.join(sorted(SUFFIXES))})")
    beside = [
        path for path in _entries(local_path(dataset.folder)) if path.suffix.lower() in SUFFIXES
    ]
    left_out["images beside the class folders"] = sum(path.is_file() for path in beside)
    counts = sorted((+left_out).items())
    return images, ", ".join(f"{what} ({count:,})" for what, count in counts)


def _class_folders(dataset: FolderDataset) -> list[Path]:
    folder = local_path(dataset.folder)
    if not os.path.isdir(folder):  # Path's raises where it may not look
        raise ConfigError(f"no folder '{folder}'; it should have a folder of images for each class")
    found = _entries(folder)
    for path in found:
        if not path.exists():
            raise _no_file(path)
    classes = [path for path in found if path.is_dir()]
    if len(classes) < 4:
        raise ConfigError(
            f"'{folder}' has {len(classes)} class folders; two are needed to train and two to test"
        )
    if alike := look_alikes(path.name for path in classes):
        raise ConfigError(
            f"'{folder}' has class folders whose names look the same: {alike}; put their images "
            "into one, or rename one"
        )
    return classes


def _entries(folder: Path) -> list[Path]:
    """What lies in ``folder`` by name, hidden things left out."""
    try:
        os.stat(f"{folder}/.")  # fails where names can be read, but nothing can be opened
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"'{folder}' cannot be read ({error.strerror})") from None
    for path in found:
        # Undecodable bytes are lone surrogates to Python; line breaks would break messages.
        if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", path.name):
            name = os.fsencode(path.name)
            raise ConfigError(
                f"'{folder}' holds {name!r}, a name that is not UTF-8 text; rename it"
            )
    return found


def _no_file(path: Path) -> ConfigError:
    kind = "is a link that leads nowhere" if path.is_symlink() else "is a pipe or device, no file"
    kind = "is a folder with an image's name" if path.is_dir() else kind
    return ConfigError(f"'{path}' {kind}; take it away or mend it")


def training_classes(dataset: FolderDataset) -> set[str]:
    """The classes to train on: at least two, and at least two are left for the test.

    A ConfigError where the folder cannot be read or has too few classes.
    """
    names = [folder.name for folder in _class_folders(dataset)]
    count = math.ceil(len(names) * dataset.train_share)
    if dataset.split == "random":
        random.Random(dataset.seed).shuffle(names)
    return set(names[: min(max(count, 2), len(names) - 2)])


def folder_facts(dataset: FolderDataset) -> DatasetFacts:
    """What a registered dataset states in its decorator; errors as of :func:`contents`."""
    training = training_classes(dataset)
    counts: Counter[str] = Counter()
    images = contents(dataset)[0]
    for name, files in images.items():
        split = "train" if name in training else "test"
        counts.update({split: len(files), f"{split}:class": 1})
    return DatasetFacts(
        train_label="class",
        train_classes=len(training),
        evaluations=(Part("test", "", "class"), Part("train", "", "class")),
        counts=dict(counts),
        largest_class=max(len(images[name]) for name in training),
        mode=dataset.mode,
    )


def image_names(dataset: FolderDataset) -> list[str]:
    """All images of a folder, as ``class/file``; errors as of :func:`contents`."""
    return [f"{name}/{file}" for name, files in contents(dataset)[0].items() for file in files]
