"""Vectors of a dataset's images that another model made, in the order of its index."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench.config import Plan, Run
from dmlbench.config.image_tables import identities, read_table
from dmlbench.config.own_images import TableDataset
from dmlbench.errors import DataError


def imported_vectors(plan: Plan, run: Run, index: pd.DataFrame) -> Callable:
    """What gives the vectors (n x D, float32) of n rows of a prepared ``index``.

    A file's rows are known by the paths that it holds, or are in the order of the dataset's table;
    of a dataset without a table in that of the index.

    Raises:
        DataError: The file holds no vectors, not one for each image, or one that is not finite.
    """
    file = Path(plan.benchmark.features[run.features].file)
    vectors, paths = read_vectors(file)
    what = "paths"
    if paths is None:
        own = plan.benchmark.datasets.get(run.dataset)
        is_table = isinstance(own, TableDataset)
        paths = identities(read_table(own), own) if is_table else index["path"]
        what = "rows of the table" if is_table else "images of the dataset"
    if len(vectors) != len(paths):
        raise DataError(f"{file}: holds {len(vectors):,} vectors for {len(paths):,} {what}")
    if (twice := pd.Series(paths).duplicated()).any():
        raise DataError(f"{file}: has two vectors for '{np.asarray(paths)[twice][0]}'")
    if wrong := int((~np.isfinite(vectors)).any(axis=1).sum()):
        raise DataError(f"{file}: {wrong:,} vectors hold NaN or infinity")
    place = pd.Index(paths).get_indexer(index["path"])

    def of_rows(rows: np.ndarray) -> np.ndarray:
        if (lacking := place[rows] < 0).any():
            first = index["path"].to_numpy()[rows][lacking][0]
            raise DataError(
                f"{file}: has no vector for {lacking.sum():,} of {len(rows):,} images that are to "
                f"be measured, such as '{first}'"
            )
        return vectors[place[rows]]

    return of_rows


def read_vectors(file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """N x D vectors as float32, and the N paths of their images where the file has these.

    A .npz holds them as its one two-dimensional array, and the paths as ``paths``. A Parquet file
    has a column of lists, or a column for each dimension, and the paths in a column ``path``.

    Raises:
        DataError: It cannot be read, or holds something else.
    """
    try:
        vectors, paths = _read(file)
        if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.number):
            shape = " x ".join(map(str, vectors.shape))
            raise ValueError(f"holds {shape} of {vectors.dtype}, should be N x D numbers")
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        hint = (
            "; store paths as text: numpy.array(paths, dtype=str)" if "Object" in str(error) else ""
        )
        raise DataError(f"{file}: no vectors can be read ({error}){hint}") from None
    return vectors.astype(np.float32), paths


def _read(file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    if file.suffix == ".npy":
        return np.load(file), None
    if file.suffix == ".npz":
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        paths = arrays.pop("paths", None)
        tables = [array for array in arrays.values() if array.ndim == 2]
        if len(tables) != 1:
            raise ValueError(f"holds {len(tables)} arrays of two dimensions, should be one")
        return tables[0], paths
    table = pd.read_parquet(file)
    paths = table.pop("path").astype("str").to_numpy() if "path" in table else None
    lists = [name for name in table if table[name].dtype == object]
    if lists:
        return np.stack(table[lists[0]].to_list()), paths
    return table.select_dtypes("number").to_numpy(), paths
