"""What the head of a file of vectors says: how many there are, without reading them."""

import zipfile
from pathlib import Path
from typing import IO, NamedTuple

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.errors import ConfigError


class VectorFile(NamedTuple):
    """How many vectors a file holds, and whether it names their images."""

    vectors: int
    has_paths: bool


def vectors_in(file: Path) -> VectorFile:
    """Read the head of a .npy, .npz or Parquet file.

    A ConfigError says that it is none; what it holds is checked where it is read
    (:func:`dmlbench.data.vectors.read_vectors`).
    """
    try:
        if file.suffix == ".npy":
            with file.open("rb") as stored:
                return VectorFile(_rows(stored), has_paths=False)
        if file.suffix == ".npz":
            return _in_archive(file)
        from pyarrow.parquet import read_metadata, read_schema

        return VectorFile(read_metadata(file).num_rows, "path" in read_schema(file).names)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"'{file}': no vectors can be read ({error})") from None


def _in_archive(file: Path) -> VectorFile:
    with zipfile.ZipFile(file) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        arrays = [name for name in names if name not in ("paths", "path")]
        if len(arrays) != 1:
            there = ", ".join(arrays) or "none"
            raise ValueError(f"should hold one array besides paths, but there is: {there}")
        with archive.open(f"{arrays[0]}.npy") as stored:
            return VectorFile(_rows(stored), has_paths=len(names) > 1)


def _rows(stored: IO[bytes]) -> int:
    """The rows of the array in an open .npy file."""
    from numpy.lib import format as npy  # jobs that read a plan need none of it

    is_first = npy.read_magic(stored) == (1, 0)
    head = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
    shape, _, dtype = head(stored)
    if len(shape) != 2 or dtype.kind not in "iuf" or not shape[0]:
        told = " x ".join(map(str, shape))
        raise ValueError(f"holds {told} of {dtype}, should be N x D real numbers")
    return shape[0]


def vector_problem(file: VectorFile, dataset: str, facts: DatasetFacts) -> str:
    """That there is not one vector for each image of a dataset; empty where there is.

    A file that names its images may have others too.
    """
    images = sum(n for part, n in facts.counts.items() if not {"/", ":", "@"} & set(part))
    if file.has_paths or file.vectors == images:
        return ""
    return f"holds {file.vectors:,} vectors for {images:,} images of {dataset}"
