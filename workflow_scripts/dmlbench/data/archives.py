"""The facts of every archive, from ``archives.yaml``."""

from dataclasses import dataclass, replace
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
        bytes: Its size, where it is known.
        sha256: Its checksum, as published or as the user pinned it.
        urls: Where it lies, in the order tried: full addresses, or folders that end in ``/``.
        md5, sha1: Its checksum, where nobody published a better one.
        members_sha256: The hash of its members, where a repacked archive is as good.
    """

    source: str
    file: str
    bytes: int | None
    sha256: str | None
    urls: tuple[str, ...]
    md5: str | None = None
    sha1: str | None = None
    members_sha256: str | None = None

    @property
    def addresses(self) -> list[str]:
        """The full address of each of ``urls``."""
        return [url + self.file if url.endswith("/") else url for url in self.urls]

    @property
    def checksum(self) -> tuple[str, str] | None:
        """The best known checksum: its method, as hashlib calls it, and its value."""
        known = {"sha256": self.sha256, "sha1": self.sha1, "md5": self.md5}
        return next(((method, value) for method, value in known.items() if value), None)

    def pinned(self, sha256: str | None) -> "Archive":
        """The same with the user's checksum, where nobody published one."""
        return self if self.checksum else replace(self, sha256=sha256)

    def described(self) -> str:
        """Size and checksum in words."""
        size = f"{self.bytes:,} bytes, " if self.bytes is not None else ""
        return size + " ".join(self.checksum or ["no published checksum"])


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
