"""How many images and classes are left to train on when validation has taken its share."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

from dmlbench.config.dataset_facts import DatasetFacts
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
    index, held_out = _drawn(dataset, facts, images, share)
    left = index[~held_out]
    columns = left.columns.difference(["split", "content"])
    return others | {"train": len(left)} | {f"train:{c}": left[c].nunique() for c in columns}


def classes_to_choose_by(
    dataset: str, facts: DatasetFacts, images: Callable[[], Iterable[Any]], share: float
) -> int:
    """The classes that images are held out of, of a user's own images (:func:`counts_left`)."""
    index, held_out = _drawn(dataset, facts, images, share)
    return index.loc[held_out, facts.train_label].nunique()


def _drawn(
    dataset: str, facts: DatasetFacts, images: Callable[[], Iterable[Any]], share: float
) -> tuple[Any, Any]:
    """The training rows of an index, and which of them validation takes."""
    import pandas as pd

    # In the order of an index, by which the draw goes.
    records = sorted((r for r in images() if r.split == "train"), key=lambda r: r.path)
    index = pd.DataFrame([record.labels for record in records]).assign(split="train")
    whole = validation_classes(facts.train_classes, share)
    index["content"] = range(len(records)) if whole else _contents(records)
    return index, validation_mask(index, facts.train_label, share, dataset)


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
