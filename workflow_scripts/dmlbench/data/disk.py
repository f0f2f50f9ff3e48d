"""Room on disks: for the store that is written, and for a copy of it on a node's own disk."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dmlbench import paths
from dmlbench.data.dataset import Record
from dmlbench.errors import DISK_FULL, DataError, TrainingError
from dmlbench.files import local_path

log = logging.getLogger(__name__)

#: A record, its pixels for the store and their hash.
Decoded = tuple[Record, np.ndarray, bytes]

_FIRST = 300  #: images whose mean size is taken for that of all


def checking_room(
    images: Iterable[Decoded], what: str, folder: Path, total: int | None
) -> Iterator[Decoded]:
    """Hand on ``images``; after the first ones, say how large the store ``what`` will be.

    A DataError tells that the disk of ``folder`` has less room. Nothing is said where ``total``,
    the number of images, is not known.
    """
    free, sizes = shutil.disk_usage(folder).free, []
    for each in images:
        sizes.append(each[1].nbytes)
        if len(sizes) == min(_FIRST, total or 0):
            size = sum(sizes) * total // len(sizes)
            text = f"{'' if len(set(sizes)) == 1 else 'about '}{_size(size)}"
            if size > free:
                raise DataError(
                    f"{what}: the store takes {text}, but {folder} has only {_size(free)} free; "
                    "make room or put the folder on another disk (a link will do)"
                )
            told = f"the store will take {text} of disk, {_size(free)} are free"
            log.info("%s: %s", what, told, extra={"tell": True})
        yield each


@contextmanager
def disk_full_is_told(folder: Path, remedy: str = "make room") -> Iterator[None]:
    """Raise a DataError, which ends with ``remedy``, where the disk is full after all."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        told = f"{os.strerror(error.errno)}; nothing half-written stays; {remedy}"
        raise DataError(f"{folder}: {told}") from None


@contextmanager
def near(folder: Path, scratch: str | None) -> Iterator[Path]:
    """Yield a folder with the prepared images of ``folder``: a copy below ``scratch``, if given.

    The copy goes when the block ends. Where the disk is too small, ``folder`` itself is read, and
    the log says so; where there is no ``scratch``, that is a TrainingError. Variables in it such as
    ``$SLURM_TMPDIR`` are filled in.
    """
    if not scratch:
        yield folder
        return
    place = local_path(os.path.expandvars(scratch))
    if not place.is_dir():
        raise TrainingError(f"training.scratch: this machine has no folder {place}")
    files = [folder / paths.INDEX_FILE, folder / paths.PIXELS_FILE]
    size, free = sum(file.stat().st_size for file in files), shutil.disk_usage(place).free
    if size > free:
        log.warning("%s has %s of %s: reads %s", place, _size(free), _size(size), folder)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="dmlbench-", dir=place) as copy:
        for file in files:
            shutil.copy(file, copy)
        log.info("%s copied to %s", _size(size), copy)
        yield Path(copy)


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
