"""Stored embeddings: writing and reading them."""

import errno
import json
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.config.dataset_facts import Part, Roles
from dmlbench.data.splits import index_of
from dmlbench.data.store import content_hash
from dmlbench.errors import DataError
from dmlbench.files import checksum_of, naming, replacing
from dmlbench.records import read_table
from dmlbench.workflow.job_records import read_record


def embed_run(plan: Plan, run: Run, selection: str, pairs: Path | None, embed: Callable) -> None:
    """Write a file of embeddings for every split, or one of the images in a table of ``pairs``.

    ``embed`` gives the embeddings of rows of the index, as an array or a tensor.
    """
    index = index_of(plan, run)
    data = content_hash(index)
    files = {split: index["split"] == split for split in plan.benchmark.evaluation.splits}
    if pairs:
        named = np.unique(read_table(pairs, data, columns=["left", "right"]))
        files = {paths.OF_PAIRS: index["id"].isin(named)}
    for part, mask in files.items():
        file = plan.run_folder(run) / paths.embeddings(part, selection)
        vectors = embed(np.flatnonzero(mask))
        vectors = vectors.cpu().numpy() if hasattr(vectors, "cpu") else vectors
        of = _origin(plan, run, part, selection, data)
        save_embeddings(file, vectors, index["id"].to_numpy()[mask], of)


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


def embeddings_of(plan: Plan, run: Run, part: str, selection: str) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N x D) and image ids of a split, or of the images of pairs.

    Raises:
        DataError: They are missing or damaged; or were made with other settings, from other images
            or with other weights than those that the run's record names.
    """
    folder = plan.run_folder(run)
    data = read_record(folder, plan.fingerprint(run))["data"]
    of = _origin(plan, run, part, selection, data)
    return load_embeddings(folder / paths.embeddings(part, selection), of)


def _origin(plan: Plan, run: Run, part: str, selection: str, data: str) -> dict[str, str]:
    """What embeddings are of: run, split and selection; hashes of settings, images and weights."""
    settings = plan.fingerprint(run)
    of = {"run": run.id, "split": part, "selection": selection, "settings": settings}
    if not run.trained:
        return of | {"images": data}
    kept = next(s for s in plan.selections(run) if selection in (s, paths.body_of(s)))
    outputs = read_record(plan.run_folder(run), settings).get("outputs", {})
    return of | {"images": data, "weights": outputs.get(paths.model(kept), "of no record")}


def save_embeddings(
    path: Path, embeddings: np.ndarray, ids: np.ndarray, of: dict[str, str]
) -> None:
    """Write embeddings (N x D, float32), their image ids, and what they are of."""
    with replacing(path) as temporary:
        embeddings = embeddings.astype(np.float32)
        np.savez(temporary, embeddings=embeddings, ids=ids, of=json.dumps(of))


def load_embeddings(path: Path, of: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings and image ids; a DataError where the file is missing, damaged or of another."""
    try:
        with naming(path), np.load(path) as stored:
            embeddings, ids = stored["embeddings"], stored["ids"]
            said = dict(json.loads(str(stored["of"])))
        if others := [key for key in of if said.get(key) != of[key]]:
            raise ValueError(f"made with other {', '.join(others)}")
        if embeddings.ndim != 2 or ids.shape != embeddings.shape[:1]:
            raise ValueError(f"shapes {embeddings.shape} and {ids.shape} do not fit")
        return embeddings, ids
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
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

    def __init__(self, plan: Plan, run: Run, selection: str, index: pd.DataFrame) -> None:
        self.folder, self.selection, self.index = plan.run_folder(run), selection, index
        self._load = cache(partial(embeddings_of, plan, run))

    def of(self, part: Part) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Embeddings (n x D), image ids and class numbers of a part; a DataError if any lacks."""
        vectors, ids = self._load(part.split, self.selection)
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
