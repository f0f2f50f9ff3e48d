"""How many images and classes are left to train on when validation has taken its share."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.files import checksum_of
from dmlbench.seeding import validation_classes


def counts_left(
    dataset: str,
    facts: DatasetFacts,
    images: Callable[[], Iterable[Any]] | None,
    recipe: dict,
) -> dict[str, int]:
    """The counts of a dataset's facts; those of train are what a run measures as its train split.

    They are exact for a user's own images, if those with equal pixels are equal files. Of a
    registered dataset the classes are taken as equally large, and those of other labels than the
    trained one are left out.

    Args:
        images: Gives the records of a user's own images; None for a registered dataset.
        recipe: Resolved.
    """
    total, label, counts = facts.counts.get("train"), facts.train_label, facts.counts
    if facts.own_validation or not (total and recipe["validation"]):
        return counts
    import pandas as pd

    if images:
        # In the order of an index, by which the draw goes.
        records = sorted((r for r in images() if r.split == "train"), key=lambda r: r.path)
        index = pd.DataFrame([record.labels for record in records])
        by_class = validation_classes(facts.train_classes, recipe["validation"])
        index["content"] = range(total) if by_class else _contents(records)
    else:
        classes = facts.train_classes
        index = pd.DataFrame({label: [row % classes for row in range(total)]})
        index["content"] = range(total)
    index = index.assign(split="train")
    # The rule is one of a room above, so it is looked up by name, as losses are.
    mask = import_module("dmlbench.data.splits").validation_mask
    left = index[~mask(index, label, recipe["validation"], dataset)]
    others = {part: n for part, n in counts.items() if not part.startswith("train:")}
    columns = left.columns.difference(["split", "content"])
    return others | {"train": len(left)} | {f"train:{c}": left[c].nunique() for c in columns}


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
