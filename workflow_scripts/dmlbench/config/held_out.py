"""How many images and classes are left to train on when validation has taken its share."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

from dmlbench.config.dataset_facts import VALIDATION, DatasetFacts
from dmlbench.files import checksum_of
from dmlbench.seeding import validation_classes, validation_mask


def counts_left(
    dataset: str,
    facts: DatasetFacts,
    images: Callable[[], Iterable[Any]] | None,
    recipe: dict,
) -> dict[str, int]:
    """The counts of a dataset's facts; those of train are what a run measures as its train split.

    They are exact for a user's own images, if those with equal pixels are equal files. Of a
    registered dataset the sizes of classes are not known: its images are the most that can be left.
    Those of other labels than the trained one are left out there.

    Args:
        images: Gives the records of a user's own images; None for a registered dataset.
        recipe: Resolved.
    """
    total, label, counts = facts.counts.get("train"), facts.train_label, facts.counts
    classes, share = facts.train_classes, recipe["validation"]
    if facts.own_validation or not (total and share):
        return counts
    others = {part: n for part, n in counts.items() if not part.startswith("train:")}
    whole = validation_classes(classes, share)
    if not images:
        # A class has one image or more; a share of each class is rounded by half an image or less.
        held_out = whole or max(0, math.ceil(total * share - classes / 2))
        return others | {"train": total - held_out, f"train:{label}": classes - whole}
    index = split_images(dataset, facts, images, recipe)
    left = index[index["split"] == "train"]
    columns = left.columns.difference(["split", "content", "role", "subset"])
    return others | {"train": len(left)} | {f"train:{c}": left[c].nunique() for c in columns}


def split_images(
    dataset: str, facts: DatasetFacts, images: Callable[[], Iterable[Any]], recipe: dict
) -> Any:
    """The index of a user's own images with the splits of a run, before any of them is opened.

    Equal files are copies of one image where images of each class are held out.
    """
    import pandas as pd

    # In the order of an index, by which the draw goes.
    records = sorted(images(), key=lambda r: (r.split != "train", r.split, r.path))
    trained = [record for record in records if record.split == "train"]
    index = pd.DataFrame([record.labels for record in records])
    index["split"] = [record.split for record in records]
    index["subset"] = [record.subset for record in records]
    index["content"] = range(len(records))
    if facts.roles:
        index["role"] = [record.role for record in records]
    if facts.own_validation or not recipe["validation"]:
        return index
    if not validation_classes(facts.train_classes, recipe["validation"]):
        others = [f"other {number}" for number in range(len(records) - len(trained))]
        index["content"] = [*_contents(trained), *others]
    held_out = validation_mask(index, facts.train_label, recipe["validation"], dataset)
    return index.assign(split=index["split"].mask(held_out, VALIDATION))


def counts_of_fold(facts: DatasetFacts, fold: int | None) -> dict[str, int]:
    """The most images of each test part, where a dataset comes in folds; else nothing."""
    images = facts.counts.get(f"fold{fold}")
    parts = (part for part in facts.evaluations if part.split == "test")
    return {"/".join(filter(None, part[:2])): images for part in parts} if images else {}


def _contents(records: list[Any]) -> list[Hashable]:
    """The same value for the same files with the same box; read are those of equal size only."""
    sizes = [(_size(record.image), record.box) for record in records]
    several = Counter(sizes)
    return [
        (_checksum(record.image), record.box) if several[size] > 1 else place
        for place, (record, size) in enumerate(zip(records, sizes, strict=True))
    ]


def _size(file: Path) -> int | Path:
    try:
        return file.stat().st_size
    except OSError:  # rule prepare tells of all images that it cannot read
        return file


def _checksum(file: Path) -> str | Path:
    try:
        return checksum_of(file)
    except OSError:
        return file
