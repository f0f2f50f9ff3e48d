"""The archives of every dataset, from ``archives.yaml``, and whether a file is one of them."""

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from dmlbench.data.read_archive import read_members
from dmlbench.errors import DataError, UserError
from dmlbench.files import checksum_of


class NoChecksumError(UserError):
    """Nobody has said what this file should be."""


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


def members_sha256(path: Path) -> str:
    """The SHA-256 over the sorted names and contents of an archive's files.

    It does not depend on order, compression, container or time stamps, so it is the same for an
    archive that a mirror packed anew.

    Raises:
        DataError: It is damaged or unsafe.
    """
    contents = {name: hashlib.sha256(content).digest() for name, content in read_members(path)}
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(name.encode() + b"\0" + contents[name])
    return digest.hexdigest()


def verify(path: Path, archive: Archive) -> None:
    """Check that ``path`` is ``archive``, itself or with the same members packed anew.

    Raises:
        NoChecksumError: There is nothing to hold it against; the message says how to pin it.
        DataError: It is something else.
    """
    if archive.checksum is None:
        raise NoChecksumError(
            f"{archive.file}: nobody has published a checksum of it, so it is not taken for what "
            f"its name says; this copy has {path.stat().st_size:,} bytes. If you know that it is "
            "the right one, pin it and run again: --config "
            f"'data={{checksums: {{{archive.file}: {checksum_of(path, 'sha256')}}}}}'"
        )
    method, expected = archive.checksum
    actual = checksum_of(path, method)
    if actual == expected:
        return
    size = path.stat().st_size
    should = f"{expected[:16]}…" + ("" if archive.bytes is None else f" with {archive.bytes:,}")
    wrong = (
        f"{archive.file}: wrong checksum: {method} is {actual[:16]}… with {size:,} bytes, "
        f"should be {should}"
    )
    if archive.members_sha256:
        try:
            if members_sha256(path) == archive.members_sha256:
                return
        except DataError as error:
            wrong += f"; nor the same members packed anew ({error})"
    raise DataError(wrong)
