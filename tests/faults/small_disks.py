"""Real disks of little room: a tmpfs on a folder of the pipeline."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Put the files of ``folder`` on a tmpfs of its own while this lasts; skips where none can be.

    ``options`` are those of mount, such as ``size=4m`` or ``nr_inodes=50``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder.with_name(f"{folder.name}.kept")
    shutil.copytree(folder, kept)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(kept)


def fill(folder: Path, left: int) -> Path:
    """Fill the disk of ``folder`` up to ``left`` bytes; returns the file to delete."""
    free = shutil.disk_usage(folder).free
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - left)
    return filler


def use_up_inodes(folder: Path) -> list[Path]:
    """Make files until the disk of ``folder`` takes none more; returns those to delete."""
    made = []
    while os.statvfs(folder).f_favail:
        made.append(folder / f"filler{len(made)}")
        made[-1].touch()
    return made
