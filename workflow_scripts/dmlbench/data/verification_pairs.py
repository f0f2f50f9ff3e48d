"""Pairs for verification: LFW's files of pairs, and which of them show nobody of the training."""

import logging
import re
from pathlib import Path

import pandas as pd

from dmlbench.errors import DataError

log = logging.getLogger(__name__)


def read_pairs(text: str, file: str) -> pd.DataFrame:
    """The pairs of a file of LFW: for each fold, matched pairs first, then as many others.

    Huang et al. 2007, section 3: the first line is the number of folds (absent for one) and of
    matched pairs in each; ``name i j`` is a matched pair, ``name i name j`` another.

    Returns:
        One row for each pair: fold (from 1), left and right (paths of images, such as
        ``Abdullah_Gul/Abdullah_Gul_0013.jpg``) and same (whether both show one person).

    Raises:
        DataError: A line is something else, or there are more or fewer of them.
    """
    rows = []
    try:
        head, *lines = [line.split("\t") for line in text.splitlines()]
        folds, size = map(int, head if len(head) == 2 else ["1", *head])
        if len(lines) != 2 * folds * size:
            raise ValueError(f"{len(lines)} pairs where {2 * folds * size} are announced")
        for number, words in enumerate(lines):
            left, i, right, j = words if len(words) == 4 else (words[0], words[1], *words[::2])
            same = left == right
            if same != (len(words) == 3) or same != (number % (2 * size) < size):
                raise ValueError(f"'{' '.join(words)}' stands in the wrong place")
            names = (f"{name}/{name}_{int(n):04d}.jpg" for name, n in ((left, i), (right, j)))
            rows.append((number // (2 * size) + 1, *names, same))
    except (ValueError, IndexError) as error:
        raise DataError(f"{file}: no file of pairs ({error})") from None
    return pd.DataFrame(rows, columns=["fold", "left", "right", "same"])


def pair_table(pairs: pd.DataFrame, index: pd.DataFrame, view: str) -> pd.DataFrame:
    """Pairs as image ids, and which of them training leaves clean.

    The columns are view, fold (of the view), left and right (image ids), same, and
    trained_on: whether the training split of ``index`` shows anyone of the pair. Where the dataset
    is in folds that depends on the run: trained_on is missing (NA) until :func:`of_run` fills it.

    A DataError tells that an image is missing, nobody is marked, or someone is in two splits.
    """
    ids = index.set_index("path")["id"]
    if missing := sorted({*pairs["left"], *pairs["right"]} - set(ids.index)):
        raise DataError(f"{view}: image {missing[0]} and {len(missing) - 1} others are missing")
    people = index[["person", "split"]].drop_duplicates()["person"]
    if people.duplicated().any():
        twice = people[people.duplicated()].iloc[0]
        raise DataError(f"{view}: {twice} is in two splits of the dataset")
    table = pairs.assign(left=pairs["left"].map(ids), right=pairs["right"].map(ids))
    table.insert(0, "view", view)
    splits = set(index["split"])
    if "train" in splits:
        return of_run(table, index, "person")
    if not all(re.fullmatch(r"fold\d+", split) for split in splits):  # all would pass for clean
        raise DataError(f"{view}: the index has neither training images nor folds")
    return table.assign(trained_on=pd.array([pd.NA] * len(table), dtype="boolean"))


def of_run(table: pd.DataFrame, index: pd.DataFrame, label: str) -> pd.DataFrame:
    """The table of :func:`pair_table` with ``trained_on`` as it is for one run.

    The run trained on what is not ``test`` in its index, or chose its epoch with it. The column
    ``label`` says who is on an image. An index without ``train`` is refused (DataError), as
    everybody would pass for unseen.
    """
    if "train" not in set(index["split"]):
        raise DataError("pairs: the index has no training images; of a dataset in folds, name one")
    people = index.set_index("id")[label]
    seen = set(index.loc[index["split"] != "test", label])
    shown = [table[side].map(people).isin(seen) for side in ("left", "right")]
    return table.assign(trained_on=shown[0] | shown[1])


def clean(table: pd.DataFrame) -> pd.DataFrame:
    """The pairs of one view that show nobody whom training saw: all that may be scored.

    A DataError tells that whom training saw is not known, or that no pair is left of one kind.
    """
    name = table["view"].iloc[0]
    if table["trained_on"].isna().any():
        raise DataError(
            f"{name}: these people are in folds, and which pairs are clean depends on the fold "
            "that a model was not trained on; name its test_fold"
        )
    left = table[~table["trained_on"].astype(bool)]
    told = f"{name}: training saw people of {len(table) - len(left):,} of {len(table):,} pairs; "
    if left["same"].nunique() < 2:
        raise DataError(f"{told}what is left cannot be scored. Train on other people")
    if len(left) < len(table):
        log.warning("%sonly the other %s may be scored", told, f"{len(left):,}")
    return left


def all_pairs(files: dict[str, Path], index: pd.DataFrame) -> pd.DataFrame:
    """The pairs of every view's file, one :func:`pair_table` below the other."""
    tables = []
    for view, file in files.items():
        pairs = read_pairs(file.read_text(encoding="utf-8"), str(file))
        tables.append(pair_table(pairs, index, view))
        log.info("%s: %d pairs", view, len(pairs))
    return pd.concat(tables, ignore_index=True)
