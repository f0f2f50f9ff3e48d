"""Vectors of a dataset's images that another model made, in the order of its index."""

import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench.config import Plan, Run
from dmlbench.config.image_tables import identities, read_table
from dmlbench.config.own_images import NO_LABELS, TableDataset
from dmlbench.errors import DataError
from dmlbench.files import local_path

_PATHS = "paths should be text: numpy.array(paths, dtype=str); other arrays, numbers"


def imported_vectors(plan: Plan, run: Run, index: pd.DataFrame) -> Callable:
    """What gives the vectors (n x D, float32) of n rows of a prepared ``index``.

    A file's rows are known by the paths that it holds, or are in the order of the dataset's table;
    of a dataset without a table in that of the index.

    Raises:
        DataError: The file holds no vectors, not one for each image, or one that is not finite.
    """
    file = local_path(plan.benchmark.features[run.features].file)
    labels = {part.label for part in plan.facts(run.dataset).evaluations}
    vectors, paths = read_vectors(file, labels)
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


def read_vectors(file: Path, labels: Iterable[str] = ()) -> tuple[np.ndarray, np.ndarray | None]:
    """N x D vectors as float32, and the N paths of their images where the file has these.

    A .npz holds them as one two-dimensional array, and the paths as ``paths``. A Parquet file has a
    column of lists, or a column for each dimension, and the paths in a column ``path``. Nothing
    else may be there: a column of the dataset's ``labels`` is no dimension.

    Raises:
        DataError: It cannot be read, or holds something else.
    """
    try:
        vectors, paths = _read(file, {"label", *labels} | NO_LABELS - {"x", "y"})
        real = np.issubdtype(vectors.dtype, np.floating) or np.issubdtype(vectors.dtype, np.integer)
        if vectors.ndim != 2 or not real or not vectors.size:
            shape = " x ".join(map(str, vectors.shape))
            raise ValueError(f"holds {shape} of {vectors.dtype}, should be N x D real numbers")
        if paths is not None and (paths.ndim != 1 or paths.dtype.kind != "U"):
            raise ValueError(_PATHS)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        # numpy's words would have a stranger's file executed.
        reason = _PATHS if "pickle" in str(error) else error
        raise DataError(f"{file}: no vectors can be read ({reason})") from None
    return vectors.astype(np.float32), paths


def _read(file: Path, no_dimensions: set[str]) -> tuple[np.ndarray, np.ndarray | None]:
    if file.suffix == ".npy":
        return np.load(file), None
    if file.suffix == ".npz":
        with np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        paths = [arrays.pop(name) for name in ("paths", "path") if name in arrays]
        if len(arrays) != 1 or len(paths) > 1:
            names = ", ".join(arrays) or "none"
            raise ValueError(f"should hold one array besides paths, but there is: {names}")
        return next(iter(arrays.values())), next(iter(paths), None)
    from pyarrow.parquet import read_table

    # Its own words on an index would hide a column of that name.
    table = read_table(file).to_pandas(ignore_metadata=True)
    table = table[[name for name in table if not name.startswith("__index_level_")]]
    paths = table.pop("path").to_numpy(dtype=str) if "path" in table else None
    if len(table.columns) == 1 and table.dtypes.iloc[0].kind == "O":
        return np.stack(table.iloc[:, 0].to_list()), paths
    numbers = set(table.select_dtypes("number"))
    if others := [name for name in table if name not in numbers or name in no_dimensions]:
        raise ValueError(f"its column '{others[0]}' is no dimension of the vectors; leave it out")
    return table.to_numpy(), paths
