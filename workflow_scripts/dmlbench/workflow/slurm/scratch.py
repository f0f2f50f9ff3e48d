"""Images on a node's own disk while a training reads them."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmlbench import paths
from dmlbench.errors import TrainingError

log = logging.getLogger(__name__)


@contextmanager
def near(folder: Path, scratch: str | None) -> Iterator[Path]:
    """Yield a folder with the prepared images of ``folder``: a copy below ``scratch``, if given.

    The copy goes when the block ends. Where the disk is too small, ``folder`` itself is read, and
    the log says so. Variables in ``scratch`` such as ``$SLURM_TMPDIR`` are filled in.

    Raises:
        TrainingError: There is no folder ``scratch`` here.
    """
    place = Path(os.path.expandvars(scratch or "."))
    if not place.is_dir():
        raise TrainingError(f"training.scratch: this machine has no folder {place}")
    files = [folder / paths.INDEX_FILE, folder / paths.PIXELS_FILE]
    size, free = sum(file.stat().st_size for file in files), shutil.disk_usage(place).free
    if scratch and size > free:
        log.warning("%s has %.1f of %.1f GB: reads %s", place, free / 1e9, size / 1e9, folder)
    if not scratch or size > free:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="dmlbench-", dir=place) as copy:
        for file in files:
            shutil.copy(file, copy)
        log.info("%.1f GB copied to %s", size / 1e9, copy)
        yield Path(copy)
