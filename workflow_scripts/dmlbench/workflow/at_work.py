"""Which Snakemakes work in this folder, and the locks of one that was killed.

Snakemake's own locks are files that outlive it, and do not say whose they are. Here each Snakemake
also holds a lock of the system, which ends with its process; the file's name says whose it is.
"""

import os
import platform
from pathlib import Path

from filelock import FileLock, Timeout

from dmlbench import paths
from dmlbench.workflow.file_records import snakemake_records

FOLDER = Path(".snakemake") / "at_work"
_SEPARATOR, _SUFFIX = "@", ".lock"
#: Held until this process ends.
_OWN: list[FileLock] = []


def begin(config: str) -> list[str]:
    """Count this process as one that works on the results of ``config``; say what is to be known.

    Locks that killed Snakemakes of this machine left are removed, where none is alive. Where the
    disk has no locks of the system, Snakemake's own are left alone.

    Returns:
        A line for each other Snakemake that works on the same results, and one for removed locks.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Before the others are looked at: of two that begin at once, each sees the other.
    name = _SEPARATOR.join((config, str(os.getpid()), platform.node())) + _SUFFIX
    own = FileLock(FOLDER / name)
    try:
        own.acquire(blocking=False)
    except NotImplementedError:
        return []
    _OWN.append(own)
    made = FOLDER.glob(f"*{_SEPARATOR}*{_SEPARATOR}*{_SUFFIX}")
    others = {file: _is_alive(file) for file in made if file.name != name}
    alive = [file for file, lives in others.items() if lives]
    told = [_words(file) for file in alive if file.name.split(_SEPARATOR)[0] == config]
    dead = [file for file, lives in others.items() if not lives]
    # A lock of another machine may not be seen from here.
    here = [file for file in dead if file.stem.split(_SEPARATOR, 2)[2] == platform.node()]
    if here and not alive and len(here) == len(dead) and _locked():
        snakemake_records().unlock()
        told.append("a Snakemake was killed here; its locks are removed, and this one goes on")
    if not _locked():
        for file in dead:
            file.unlink(missing_ok=True)
    return told


def _locked() -> bool:
    """Whether Snakemake's own locks are there."""
    return any((FOLDER.parent / "locks").glob(f"*{_SUFFIX}"))


def _is_alive(file: Path) -> bool:
    """Whether the process that made ``file`` still lives."""
    try:
        with FileLock(file).acquire(blocking=False):
            return False
    except Timeout:
        return True


def _words(file: Path) -> str:
    config, process, host = file.stem.split(_SEPARATOR, 2)
    return (
        f"{paths.results(config)}: another Snakemake (process {process} on {host}) works on them; "
        "two of them cannot, so wait until it has ended"
    )
