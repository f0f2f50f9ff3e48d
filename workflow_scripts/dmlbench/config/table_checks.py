"""Everything that is wrong with a table of images: one line for each kind, with its first rows."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench.config.dataset_facts import ROLES, VALIDATION, Part
from dmlbench.config.image_tables import (
    BOX,
    OF_OML,
    Table,
    classes_in_both,
    identities,
)
from dmlbench.config.look_alikes import look_alikes
from dmlbench.config.own_images import TableDataset
from dmlbench.config.variation import constant
from dmlbench.plugins.messages import nearest

#: So many rows, or classes, of each kind are named; the others are counted.
_NAMED = 3
_UNREADABLE = r"[\x00-\x1f\x7f]"


def table_problems(table: Table, dataset: TableDataset) -> list[str]:
    """A line for each kind of mistake. Rows are counted from 1, the first one below the head."""
    checks = (
        _columns,
        _texts,
        _splits,
        _roles,
        _files,
        _boxes,
        _classes,
        _alike,
        _matches,
        _labels,
        _groups,
    )
    return [line for check in checks for line in check(table, dataset)]


def _told(rows: pd.DataFrame, wrong: pd.Series | np.ndarray, what: str, show: str) -> Iterator[str]:
    """``what`` with the number of ``wrong`` rows, and the first of them with a column of theirs."""
    numbers = np.flatnonzero(wrong)
    if not len(numbers):
        return
    values = rows[show].iloc[numbers[:_NAMED]]
    named = [f"row {n + 1} ({value!r})" for n, value in zip(numbers, values, strict=False)]
    yield f"{what} in {_counted(len(numbers), 'row')}: {_listed(named, len(numbers))}"


def _listed(named: list[str], number: int) -> str:
    more = f" and {number - _NAMED:,} more" if number > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more


def _counted(number: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"


def _columns(table: Table, dataset: TableDataset) -> Iterator[str]:
    for name in table.missing:
        yield f"there is no column '{name}'{_hint(name, table)}"
    present = set(table.columns)
    if "role" in present and present & set(OF_OML):
        yield "has both role and is_query or is_gallery; keep one of the two forms"
    for names in (OF_OML, BOX):
        if 0 < len(present & set(names)) < len(names):
            lacking = [name for name in names if name not in present]
            yield f"has {sorted(present & set(names))[0]}, but no column {', '.join(lacking)}"
    if "box" in present and present & set(BOX):
        yield "has both box and x_1, y_1, x_2, y_2; keep one of the two forms"
    if table.rows.empty:
        yield "has no rows"


def _texts(table: Table, dataset: TableDataset) -> Iterator[str]:
    rows = table.rows
    for column in ("path", *dataset.labels):
        if column not in table.missing:
            yield from _told(rows, rows[column] == "", f"empty {column}", "path")
            wrong = rows[column].str.contains(_UNREADABLE)
            yield from _told(rows, wrong, f"line breaks or control characters in {column}", column)
    twice = identities(table, dataset).duplicated() & (rows["path"] != "")
    yield from _told(rows, twice, "an image that stands in an earlier row", "path")


def _splits(table: Table, dataset: TableDataset) -> Iterator[str]:
    if "split" in table.missing or table.rows.empty:
        return
    split = table.rows["split"]
    unknown = ~split.isin(["train", VALIDATION, "test"])
    what = "a split that is none of train, validation, test"
    yield from _told(table.rows, unknown, what, "split")
    if not split.eq("test").any():
        yield "no row is for the test; give some the split test"


def _roles(table: Table, dataset: TableDataset) -> Iterator[str]:
    rows, test = table.rows, table.rows["split"] == "test"
    wrong = test & ~rows["role"].isin(ROLES)
    if set(OF_OML) <= set(table.columns):
        yield from _told(rows, wrong, "neither is_query nor is_gallery", "path")
    else:
        yield from _told(
            rows, wrong, f"a role in the test that is none of {', '.join(ROLES)}", "role"
        )
    if test.any() and not rows.loc[test, "role"].isin(("query", "both")).any():
        yield "no image of the test is a query"


def _files(table: Table, dataset: TableDataset) -> Iterator[str]:
    if "path" not in table.missing:
        absent = _absent(table.rows["path"], table.file.parent) & (table.rows["path"] != "")
        what = f"no file of this path below '{table.file.parent}'"
        yield from _told(table.rows, absent, what, "path")


def _absent(names: pd.Series, folder: Path) -> np.ndarray:
    """Which paths are no files. Each folder is listed once: a million single looks take longer."""
    listed: dict[str, set[str]] = {}
    absent = np.zeros(len(names), dtype=bool)
    for number, name in enumerate(names):
        place, file = os.path.split(name)
        if place not in listed:
            listed[place] = _files_in(os.path.join(folder, place))
        absent[number] = file not in listed[place]
    return absent


def _files_in(place: str) -> set[str]:
    try:
        with os.scandir(place) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:  # not there, or not to be looked into: none of its files can be read
        return set()


def _boxes(table: Table, dataset: TableDataset) -> Iterator[str]:
    if "bad_box" in table.rows:
        what = "a box that is not left, top, right, bottom in pixels, left < right, top < bottom"
        yield from _told(table.rows, table.rows["bad_box"], what, "path")


def _classes(table: Table, dataset: TableDataset) -> Iterator[str]:
    label, rows = dataset.trained_on, table.rows
    if {label, "split"} & set(table.missing) or dataset.protocol == "closed":
        return
    if both := sorted(classes_in_both(rows, label) - {""}):
        named = _listed([repr(name) for name in both[:_NAMED]], len(both))
        yield (
            f"{_counted(len(both), 'class')} of {label} both in training and in the test: {named}; "
            "move all images of each to one side, or set protocol: closed"
        )


def _alike(table: Table, dataset: TableDataset) -> Iterator[str]:
    for column in dataset.labels:
        if column not in table.missing and (alike := look_alikes(table.rows[column])):
            yield f"{column}: classes whose names look the same: {alike}; give them one spelling"


def _matches(table: Table, dataset: TableDataset) -> Iterator[str]:
    """Queries that nothing in the gallery matches, whatever is found."""
    label, rows = dataset.trained_on, table.rows
    if label in table.missing or not table.has_roles:
        return
    test, role = rows["split"] == "test", rows["role"]
    matches = rows[test & role.isin(("gallery", "both"))].groupby(label).size()
    found = rows[label].map(matches).fillna(0) - role.eq("both")  # not itself
    wrong = test & role.isin(("query", "both")) & (found < 1)
    yield from _told(
        rows, wrong, f"a query without another image of its {label} in the gallery", "path"
    )


def _labels(table: Table, dataset: TableDataset) -> Iterator[str]:
    """Label columns of which nothing can be measured: all queries miss, or all find their class."""
    rows = table.rows
    if not table.has_roles or table.missing or not rows["split"].eq("test").any():
        return
    index = rows.assign(content=range(len(rows)), subset="")
    for label in dataset.labels:
        why = constant(Part("test", "", label), index)
        if why and label != dataset.trained_on:  # of that one each query without a match is told
            yield f"labels: {label}: {why}; leave {label} out of labels"


def _groups(table: Table, dataset: TableDataset) -> Iterator[str]:
    """Groups of which one image would find the other too easily."""
    rows = table.rows
    if "group" not in rows:
        return
    rows = rows[rows["group"] != ""]
    test = rows["split"] == "test"
    apart = rows.assign(test=test).groupby("group")["test"].nunique() > 1
    yield from _groups_told(apart, "in training and in the test")
    inside = rows[test].groupby("group")["role"]
    pairs = (inside.nunique() > 1) | ((inside.size() > 1) & (inside.first() == "both"))
    yield from _groups_told(pairs, "between queries and gallery; an image and its like are no test")


def _groups_told(wrong: pd.Series, what: str) -> Iterator[str]:
    if names := list(wrong.index[wrong]):
        named = _listed([repr(name) for name in names[:_NAMED]], len(names))
        yield f"{_counted(len(names), 'group')} split {what}: {named}"


def _hint(name: str, table: Table) -> str:
    """What a missing column may be called there."""
    separator = next(
        (mark for mark in ";\t" if len(table.columns) == 1 and mark in table.columns[0]), ""
    )
    if separator:
        return f"; its columns are separated by {separator!r}, not by commas"
    return nearest(name, table.columns)
