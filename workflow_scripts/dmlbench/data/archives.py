"""The facts of every archive, from ``archives.yaml``."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from dmlbench.errors import DataError


@dataclass(frozen=True)
class Archive:
    """One file to download.

    Attributes:
        source: Which upstream it belongs to, such as ``mnist``.
        file: Its name, upstream's.
        bytes: Its size.
        sha256: Its checksum.
        urls: Folders that hold it, in the order tried.
        members_sha256: The hash of its members, where a repacked archive is as good.
    """

    source: str
    file: str
    bytes: int
    sha256: str
    urls: tuple[str, ...]
    members_sha256: str | None = None


@cache
def archives(source: str) -> dict[str, Archive]:
    """The archives of ``source`` by file name; none for a dataset that comes in a package."""
    table = yaml.safe_load(Path(__file__).with_name("archives.yaml").read_text(encoding="utf-8"))
    rows = table.get(source, [])
    return {r["file"]: Archive(source=source, **{**r, "urls": tuple(r["urls"])}) for r in rows}


def archive(source: str, file: str) -> Archive:
    """The archive ``file`` of ``source``.

    Raises:
        DataError: There is no such archive.
    """
    known = archives(source)
    if file not in known:
        raise DataError(f"source '{source}' has no archive '{file}'; it has {sorted(known)}")
    return known[file]
