"""Pairs for verification: the protocol files of LFW, and the check that no one was trained on."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dmlbench.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Two images.

    Attributes:
        fold: 1 .. number of folds; 1 where there is one.
        left, right: Their paths, such as ``Abdullah_Gul/Abdullah_Gul_0013.jpg``.
        people: Who is on them.
    """

    fold: int
    left: str
    right: str
    people: tuple[str, str]

    @property
    def same(self) -> bool:
        """Whether both show one person."""
        return self.people[0] == self.people[1]


def read_pairs(text: str, file: str) -> list[Pair]:
    """The pairs of a file of LFW: for each fold, matched pairs first, then as many others.

    Huang et al. 2007, section 3: the first line is the number of folds (absent for one) and of
    matched pairs in each; ``name i j`` is a matched pair, ``name i name j`` another.

    Raises:
        DataError: A line is something else, or there are more or fewer of them.
    """
    head, *lines = [line.split("\t") for line in text.splitlines()]
    try:
        folds, size = (1, int(head[0])) if len(head) == 1 else (int(head[0]), int(head[1]))
        if len(lines) != 2 * folds * size:
            raise ValueError(f"{len(lines)} pairs where {2 * folds * size} are announced")
        pairs = []
        for number, words in enumerate(lines):
            left, i, right, j = words if len(words) == 4 else (words[0], words[1], *words[::2])
            pair = Pair(number // (2 * size) + 1, _path(left, i), _path(right, j), (left, right))
            if pair.same != (len(words) == 3) or pair.same != (number % (2 * size) < size):
                raise ValueError(f"'{' '.join(words)}' stands in the wrong place")
            pairs.append(pair)
    except (ValueError, IndexError) as error:
        raise DataError(f"{file}: no file of pairs ({error})") from None
    return pairs


def _path(person: str, number: str) -> str:
    return f"{person}/{person}_{int(number):04d}.jpg"


def trained_on(pairs: list[Pair], people: set[str]) -> list[bool]:
    """Which pairs show someone of ``people``, whom the model saw in training."""
    return [not people.isdisjoint(pair.people) for pair in pairs]


def pair_table(pairs: list[Pair], index: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Pairs as image ids, with what is needed to tell which of them training leaves clean.

    The columns: protocol, fold (of the protocol), left, right (image ids), same, left_part and
    right_part (the index's split that each person is in), and trained_on, whether training saw
    anyone. Of a dataset in folds that depends on the run, so that trained_on is missing (NA) and
    :func:`of_run` fills it in; :func:`clean` refuses a table that still lacks it.

    Args:
        pairs: Pairs of paths.
        index: The prepared index, or that of a run, with a ``person`` column; those of its training
            split are the people that training saw.
        protocol: The name of the protocol, for the table.

    Raises:
        DataError: An image is not in the index, its training people are not marked, or someone is
            in two parts.
    """
    rows = index.drop_duplicates("path").set_index("path")
    if missing := sorted({p for pair in pairs for p in (pair.left, pair.right)} - set(rows.index)):
        raise DataError(f"{protocol}: image {missing[0]} and {len(missing) - 1} others are missing")
    parts = _parts(index, protocol)
    table = pd.DataFrame(
        {
            "protocol": protocol,
            "fold": [pair.fold for pair in pairs],
            "left": [rows["id"][pair.left] for pair in pairs],
            "right": [rows["id"][pair.right] for pair in pairs],
            "same": [pair.same for pair in pairs],
            "left_part": [parts[pair.people[0]] for pair in pairs],
            "right_part": [parts[pair.people[1]] for pair in pairs],
        }
    )
    if "train" not in set(index["split"]):
        return table.assign(trained_on=pd.array([pd.NA] * len(pairs), dtype="boolean"))
    return table.assign(trained_on=trained_on(pairs, {p for p in parts if parts[p] == "train"}))


def _parts(index: pd.DataFrame, protocol: str) -> dict[str, str]:
    """The split that each person is in: train and test, or folds."""
    found = index[["person", "split"]].drop_duplicates()
    if len(twice := found[found["person"].duplicated()]):
        raise DataError(f"{protocol}: {twice['person'].iloc[0]} is in two parts of the dataset")
    splits = set(found["split"])
    if "train" not in splits and not all(re.fullmatch(r"fold\d+", split) for split in splits):
        # As nobody would be marked, every pair would pass for clean.
        raise DataError(f"{protocol}: the index has neither training images nor folds")
    return dict(zip(found["person"], found["split"], strict=True))


def of_run(table: pd.DataFrame, index: pd.DataFrame, label: str) -> pd.DataFrame:
    """The table with ``trained_on`` as it is for one run: of a dataset in folds, nine train.

    Args:
        table: See :func:`pair_table`.
        index: The index of the run; what is not ``test`` it trained on or chose its epoch with.
        label: The column that says who is on an image.

    Raises:
        DataError: Nobody is marked as trained on, so that everybody would pass for unseen.
    """
    if "train" not in set(index["split"]):
        raise DataError("pairs: the index has no training images; of a dataset in folds, name one")
    people = index.set_index("id")[label]
    seen = set(index.loc[index["split"] != "test", label])
    shown = [table[side].map(people).isin(seen) for side in ("left", "right")]
    return table.assign(trained_on=shown[0] | shown[1])


def clean(table: pd.DataFrame) -> pd.DataFrame:
    """The pairs of one protocol that show nobody whom training saw: all that may be scored.

    Raises:
        DataError: Whom training saw is not known, or no pair is left of one kind, so that nothing
            can be verified.
    """
    name, total = table["protocol"].iloc[0], len(table)
    if table["trained_on"].isna().any():
        raise DataError(
            f"{name}: these people are in folds, and which pairs are clean depends on the fold "
            "that a model was not trained on; name its test_fold"
        )
    left = table[~table["trained_on"].astype(bool)]
    if left["same"].nunique() < 2:
        raise DataError(
            f"{name}: training saw people of {total - len(left):,} of {total:,} pairs; what is "
            "left cannot be scored. Train on other people"
        )
    if len(left) < total:
        log.warning(
            "%s: training saw people of %s of %s pairs; only the other %s may be scored",
            name, f"{total - len(left):,}", f"{total:,}", f"{len(left):,}",
        )  # fmt: skip
    return left


def all_pairs(files: dict[str, Path], index: pd.DataFrame) -> pd.DataFrame:
    """The pairs of every protocol, one table below the other; see :func:`pair_table`.

    Args:
        files: The file of each protocol.
        index: The prepared index.

    Raises:
        DataError: A file is damaged, or an image is missing.
    """
    tables = [
        pair_table(read_pairs(file.read_text(encoding="utf-8"), str(file)), index, protocol)
        for protocol, file in files.items()
    ]
    for table in tables:
        log.info("%s", _told(table))
    return pd.concat(tables, ignore_index=True)


def _told(table: pd.DataFrame) -> str:
    """Whom training saw, in a line."""
    name, total = table["protocol"].iloc[0], f"{len(table):,}"
    if table["trained_on"].isna().any():
        within = table["left_part"][table["left_part"] == table["right_part"]].value_counts()
        return (
            f"{name}: {total} pairs of people in {len(within)} folds; a model trained without one "
            f"fold may be scored on the pairs within that fold only, {within.min():,} to "
            f"{within.max():,} of them"
        )
    return f"{name}: training saw people of {table['trained_on'].sum():,} of {total} pairs"
