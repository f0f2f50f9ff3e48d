"""What a user's own images hold, as one hash: each is read once, then known by what the file system
says of it.
"""

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from dmlbench.errors import ConfigError, DataError
from dmlbench.files import checksum_of, write_text
from dmlbench.progress import counting
from dmlbench.records import read_json

log = logging.getLogger(__name__)

#: For each folder what the file system says of its files, and what they hold: two hashes.
_KNOWN_FORM = TypeAdapter(dict[str, Annotated[list[str], Field(min_length=2, max_length=2)]])


def content_of(root: Path, names: Iterable[str], known: Path) -> str:
    """A hash of the names and bytes of the files ``names`` below ``root``, wherever that lies.

    The hash of each folder is kept in the file ``known``, with the size, times and number (inode)
    of its files. A folder is read again where one of these is another. Size and time alone would
    not do: ``mv``, ``cp -p``, ``rsync -t`` and archives keep both, but not the number or the time
    of change (ctime), which no program can set.

    Raises:
        ConfigError: A file cannot be read, or ``known`` cannot be written.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        folder, file = os.path.split(name)
        folders[folder].append(file)
    try:
        before = _read(known)
        signs = {f: _digest(files, _stated(root / f, files)) for f, files in folders.items()}
        now = {f: before[f] for f, sign in signs.items() if before.get(f, [""])[0] == sign}
        unread = {f: files for f, files in folders.items() if f not in now}
        total = sum(map(len, unread.values()))
        with counting(f"reading {root}", total, "images") as count, ThreadPoolExecutor() as pool:
            for folder, files in unread.items():
                hashes = pool.map(_hashed(root / folder, count), files)
                now[folder] = [signs[folder], _digest(files, hashes)]
        if now != before:
            write_text(known, json.dumps(now))
    except OSError as error:
        raise ConfigError(f"'{error.filename}' cannot be used ({error.strerror})") from None
    return _digest(folders, (now[folder][1] for folder in folders))[:16]


def _read(known: Path) -> dict[str, list[str]]:
    """What the file holds; nothing where it is not there or damaged: then all images are read."""
    try:
        return read_json(known, "all images are read again", _KNOWN_FORM)
    except FileNotFoundError:
        return {}
    except DataError as error:
        log.warning("%s", error)
        return {}


def _stated(folder: Path, files: Iterable[str]) -> Iterable[str]:
    """What the file system says of each file of a folder. Joined by hand: ``Path`` is slower."""
    for file in files:
        facts = os.stat(os.path.join(folder, file))
        yield f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns} {facts.st_ino}"


def _hashed(folder: Path, count: Callable[[int], None]) -> Callable[[str], str]:
    def of_file(file: str) -> str:
        digest = checksum_of(os.path.join(folder, file))
        count(1)
        return digest

    return of_file


def _digest(names: Iterable[str], values: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name, value in zip(names, values, strict=True):
        digest.update(f"{name}\0{value}\0".encode())
    return digest.hexdigest()
