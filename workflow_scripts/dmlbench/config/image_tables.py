"""A user's own table of images: read as text, checked as a whole, and what follows from it.

A table has a row for each image. Its columns: path (from the table's folder), split (train,
validation, test) and label columns; and if wanted role (query, gallery, both), group, and box or
x_1, y_1, x_2, y_2. Open-metric-learning's table has is_query and is_gallery in the place of role,
and calls its test validation.
"""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dmlbench.config.dataset_facts import VALIDATION, DatasetFacts, Part
from dmlbench.config.own_images import TableDataset
from dmlbench.errors import ConfigError
from dmlbench.files import local_path

#: Corners of a box in pixels: left, top, right, bottom.
BOX = ["x_1", "y_1", "x_2", "y_2"]
#: What Open-metric-learning has in the place of a role.
OF_OML = ["is_query", "is_gallery"]
_MORE = ["role", *OF_OML, "group", "box", *BOX]
_SPLITS = {"train": "train", "validation": VALIDATION, "test": "test"}
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"


class Table(NamedTuple):
    """A table of images, all of it text: "007", "NA" and "1e5" stay as they are.

    Attributes:
        file: Where it lies; paths go from there.
        rows: A row for each image, with the columns that are read; a split is called as in an
            index. The corners of boxes are floats, NaN where an image has none.
        missing: Columns that must be there and are not.
        columns: All there are.
    """

    file: Path
    rows: pd.DataFrame
    missing: list[str]
    columns: list[str]

    @property
    def has_roles(self) -> bool:
        """Whether some image of the test is not both query and gallery."""
        test = self.rows["split"] == "test"
        return bool((test & (self.rows["role"] != "both")).any())


def read_table(dataset: TableDataset) -> Table:
    """Read the columns of a table that mean something, and unify its forms.

    Raises:
        ConfigError: It is not there, or no CSV or Parquet file in UTF-8.
    """
    file = local_path(dataset.table)
    if not file.is_file():
        raise ConfigError(f"no file '{file}'; it should be a table of images, CSV or Parquet")
    wanted = ["path", "split", *dataset.labels]
    try:
        is_parquet = file.suffix.lower() == ".parquet"
        columns = (_parquet_columns if is_parquet else _csv_columns)(file)
        kept = [name for name in columns if name in (*wanted, *_MORE)]
        if twice := sorted({name for name in kept if kept.count(name) > 1}):
            raise ConfigError(f"'{file}' has two columns '{twice[0]}'; rename or remove one")
        # Without a column to read, the rows are still counted.
        rows = (_parquet if is_parquet else _csv)(file, kept or columns[:1])
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is no UTF-8; save it as UTF-8"
        raise ConfigError(f"'{file}' cannot be read ({reason})") from None
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's are ValueErrors
        reason = " ".join(str(error).split())
        raise ConfigError(f"'{file}' cannot be read as a table ({reason})") from None
    missing = [name for name in wanted if name not in columns]
    rows = rows.reindex(columns=[*rows.columns, *missing], fill_value="")
    return Table(file, _with_boxes(_with_roles(_with_splits(rows))), missing, columns)


def _csv_columns(file: Path) -> list[str]:
    with file.open(encoding="utf-8-sig", newline="") as stream:  # Excel writes a mark in front
        return next(csv.reader(stream), [])


def _csv(file: Path, columns: list[str]) -> pd.DataFrame:
    """pandas would drop what is beyond the last column: a comma in a text without quotes."""
    import pyarrow.csv

    as_text = {
        "column_types": dict.fromkeys(columns, pyarrow.string()),
        "strings_can_be_null": False,
        "quoted_strings_can_be_null": False,
    }
    rows = pyarrow.csv.read_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(include_columns=columns, **as_text),
    )
    return rows.to_pandas()


def _parquet_columns(file: Path) -> list[str]:
    import pyarrow.parquet

    return pyarrow.parquet.read_schema(file).names


def _parquet(file: Path, columns: list[str]) -> pd.DataFrame:
    import pyarrow.parquet

    # pandas' own words on an index would take a column away.
    rows = pyarrow.parquet.read_table(file, columns=columns).to_pandas(ignore_metadata=True)
    return rows.astype("str").mask(rows.isna(), "")


def _with_splits(rows: pd.DataFrame) -> pd.DataFrame:
    """Splits as an index calls them; an unknown one stays."""
    known = _SPLITS
    if set(OF_OML) <= set(rows.columns) and not rows["split"].eq("test").any():
        known = {**_SPLITS, "validation": "test"}
    return rows.assign(split=rows["split"].map(known).fillna(rows["split"]))


def _with_roles(rows: pd.DataFrame) -> pd.DataFrame:
    """A column ``role``, empty outside the test; one that is unknown there stays."""
    test = rows["split"] == "test"
    if set(OF_OML) <= set(rows.columns):
        said = [rows[name].str.lower().str.removesuffix(".0") for name in OF_OML]
        query, gallery = (text.isin(["true", "1"]) for text in said)
        roles = np.select([query & gallery, query, gallery], ["both", "query", "gallery"], "none")
        rows = rows.assign(role=roles)
    elif "role" not in rows:
        rows = rows.assign(role="both")
    return rows.assign(role=rows["role"].where(test, ""))


def _with_boxes(rows: pd.DataFrame) -> pd.DataFrame:
    """The four corners as numbers where there are boxes; ``bad_box`` says that one is none."""
    if "box" in rows:
        corners = rows["box"].str.extract("^" + "[ ,;]".join([_NUMBER] * 4) + "$")
        corners, given = corners.set_axis(BOX, axis="columns"), rows[["box"]] != ""
    elif set(BOX) <= set(rows.columns):
        corners, given = rows[BOX], rows[BOX] != ""
    else:
        return rows
    numbers = corners.apply(pd.to_numeric, errors="coerce").astype(float)
    inside = (numbers["x_1"] < numbers["x_2"]) & (numbers["y_1"] < numbers["y_2"])
    return rows.assign(**numbers, bad_box=given.any(axis=1) & ~inside)


def identities(table: Table, dataset: TableDataset) -> pd.Series:
    """What tells the images of an index apart: their path; with the box, where one is cut twice."""
    names, rows = table.rows["path"], table.rows
    if not dataset.crop or "bad_box" not in rows:
        return names
    several = names.duplicated(keep=False) & rows[BOX].notna().all(axis=1)
    if not several.any():
        return names
    boxes = rows.loc[several, BOX].map("{:g}".format).agg(",".join, axis=1)
    return names.mask(several, names[several] + "[" + boxes + "]")


def table_facts(table: Table, dataset: TableDataset) -> DatasetFacts:
    """What a registered dataset states in its decorator, of a table without mistakes."""
    rows, labels, label = table.rows, dataset.labels, dataset.trained_on
    by_split = dict(list(rows.groupby("split")))
    counts = {split: len(part) for split, part in by_split.items()}
    for split, part in by_split.items():
        counts |= {f"{split}:{column}": part[column].nunique() for column in labels}
    if table.has_roles:
        roles = by_split["test"]["role"]
        counts |= {
            f"test@{one}": int(roles.isin((one, "both")).sum()) for one in ("query", "gallery")
        }
    seen = [column for column in labels if classes_in_both(rows, column)]
    tested = [split for split in ("test", "train") if split in by_split]
    return DatasetFacts(
        train_label=label,
        train_classes=counts.get(f"train:{label}", 0),
        evaluations=tuple(Part(split, "", column) for split in tested for column in labels),
        counts=counts,
        mode=dataset.mode,
        roles=table.has_roles,
        shared_labels=tuple(seen),
        largest_class=max(by_split["train"][label].value_counts()) if "train" in by_split else None,
        sub_labels=_nested(rows, labels),
    )


def _nested(rows: pd.DataFrame, labels: list[str]) -> dict[str, str]:
    """Of each label column the next finer one: with more classes, each inside one of its."""
    classes = {label: rows[label].nunique() for label in labels}
    finer = {}
    for coarse in labels:
        for fine in sorted(labels, key=classes.get):
            if classes[fine] > classes[coarse] and coarse not in finer:
                pairs = rows[[coarse, fine]].drop_duplicates()
                finer |= {coarse: fine} if len(pairs) == classes[fine] else {}
    return finer


def classes_in_both(rows: pd.DataFrame, column: str) -> set[str]:
    """The classes of a label column that the test has and training, or validation, has too."""
    test = rows["split"] == "test"
    return set(rows.loc[test, column]) & set(rows.loc[~test, column])


def files_of(names: Iterable[str], folder: Path) -> Iterable[str]:
    """The files that the paths of a table in ``folder`` stand for. Each joined by hand: a million
    of them take ten seconds as ``Path``.
    """
    return (os.path.join(folder, name) for name in names)
