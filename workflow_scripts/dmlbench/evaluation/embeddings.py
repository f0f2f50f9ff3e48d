"""Stored embeddings: writing and reading them."""

import errno
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.config.dataset_facts import Part, Roles
from dmlbench.data.splits import index_of
from dmlbench.data.store import content_hash
from dmlbench.errors import DataError
from dmlbench.files import checksum_of, naming, read_parquet, replacing
from dmlbench.workflow.job_records import read_record

#: Dataset, recipe, loss, sampler, seed and the file's own name.
_NAMES = len(paths.RUN_ID.split("/")) + 1


def embed_run(plan: Plan, run: Run, selection: str, pairs: Path | None, embed: Callable) -> None:
    """Write a file of embeddings for every split, or one of the images in a table of ``pairs``.

    ``embed`` gives the embeddings of rows of the index, as an array or a tensor.
    """
    index = index_of(plan, run)
    files = {split: index["split"] == split for split in plan.benchmark.evaluation.splits}
    if pairs:
        named = np.unique(read_parquet(pairs, columns=["left", "right"]))
        files = {paths.OF_PAIRS: index["id"].isin(named)}
    for part, mask in files.items():
        file = plan.run_folder(run) / paths.embeddings(part, selection)
        vectors = embed(np.flatnonzero(mask))
        vectors = vectors.cpu().numpy() if hasattr(vectors, "cpu") else vectors
        save_embeddings(file, vectors, index["id"].to_numpy()[mask])


def index_measured(plan: Plan, run: Run) -> pd.DataFrame:
    """The index of a run whose embeddings are there; see :func:`dmlbench.data.splits.index_of`.

    Raises:
        DataError: The data were prepared anew, with other images or labels, since it was trained.
    """
    index, record = index_of(plan, run), read_record(plan.run_folder(run), plan.fingerprint(run))
    if content_hash(index) != record["data"]:
        raise DataError(
            f"{plan.data_folder(run) / paths.INDEX_FILE}: has other images or labels than {run.id} "
            "was trained on; train it again, or prepare the data as they were"
        )
    return index


def save_embeddings(path: Path, embeddings: np.ndarray, ids: np.ndarray) -> None:
    """Write embeddings (N x D, float32) and their image ids."""
    with replacing(path) as temporary:
        embeddings = embeddings.astype(np.float32)
        np.savez(temporary, embeddings=embeddings, ids=ids, of=_of(path))


def _of(path: Path) -> str:
    """Run, split and selection of a file of embeddings, wherever the results lie."""
    return "/".join(path.parts[-_NAMES:])


def load_embeddings(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings and image ids; a DataError where the file is missing, damaged or another's.

    Files of before benchmark version 1.1 do not say whose they are.
    """
    try:
        with naming(path), np.load(path) as stored:
            embeddings, ids = stored["embeddings"], stored["ids"]
            of = str(stored["of"]) if "of" in stored else _of(path)
        if of != _of(path):
            raise ValueError(f"they are {of}")
        if embeddings.ndim != 2 or ids.shape != embeddings.shape[:1]:
            raise ValueError(f"shapes {embeddings.shape} and {ids.shape} do not fit")
        return embeddings, ids
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
            raise  # of the disk
        raise DataError(f"{path}: no readable embeddings ({error}); embed the run again") from None


def embeddings_files(plan: Plan, run: Run) -> list[str]:
    """The names of all files of embeddings that a run is measured on."""
    splits = [*plan.benchmark.evaluation.splits]
    splits += [paths.OF_PAIRS] if plan.verifies(run.dataset) else []
    return [paths.embeddings(split, s) for split in splits for s in plan.measured(run)]


def checksums_of_embeddings(plan: Plan, run: Run) -> dict[str, str]:
    """The SHA-256 of each of :func:`embeddings_files`."""
    folder = plan.run_folder(run)
    return {name: checksum_of(folder / name) for name in embeddings_files(plan, run)}


class StoredEmbeddings:
    """The embeddings of one selection in a run's folder, and the run's index."""

    def __init__(self, folder: Path, selection: str, index: pd.DataFrame) -> None:
        self.folder, self.selection, self.index = folder, selection, index
        self._load = cache(load_embeddings)

    def of(self, part: Part) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Embeddings (n x D), image ids and class numbers of a part; a DataError if any lacks."""
        vectors, ids = self._load(self.folder / paths.embeddings(part.split, self.selection))
        mine = self.index["id"].to_numpy()[part.rows(self.index)]
        place = pd.Index(ids).get_indexer(mine)
        if (place < 0).any():
            raise DataError(f"{self.folder}: embeddings of {part.split} lack images; embed again")
        return vectors[place], mine, self.labels(part, part.label)

    def roles(self, part: Part) -> Roles | None:
        """Which images of a part are queries and which its gallery (:meth:`Part.roles`)."""
        return part.roles(self.index)

    def labels(self, part: Part, column: str) -> np.ndarray:
        """The class numbers of a part by a label column."""
        codes = self.index[column].astype("category").cat.codes.to_numpy()
        return codes[part.rows(self.index)]
