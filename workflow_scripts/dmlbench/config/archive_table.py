"""The archives of every source, from ``data/archives.yaml``: no run's code depends on them."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dmlbench.config.read_yaml import read_config
from dmlbench.errors import ConfigError, DataError

_TABLE = Path(__file__).parents[1] / "data" / "archives.yaml"


@dataclass(frozen=True)
class Archive:
    """One file to download.

    Attributes:
        source: Which upstream it belongs to, such as ``mnist``; the folder that it is kept in.
        urls: Where it lies, in the order tried: full addresses, or folders that end in ``/``.
        bytes, sha256, sha1, md5: Its size and checksums; the first known checksum counts.
        members_sha256: See :func:`dmlbench.data.download.members_sha256`.
        where: In words, where to get it by hand, where no address can be relied on.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    source: str
    file: str
    urls: tuple[str, ...] = ()
    bytes: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None
    members_sha256: str | None = None
    where: str | None = None

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
def all_archives() -> tuple[Archive, ...]:
    """Every archive of every source; a ConfigError where a value of the table is wrong."""
    entries = read_config(_TABLE).items()
    rows = [row | {"source": source} for source, listed in entries for row in listed]
    try:
        return TypeAdapter(tuple[Archive, ...]).validate_python(rows)
    except ValidationError as error:
        number, *where = error.errors()[0]["loc"]
        place = ".".join(map(str, [rows[number]["source"], rows[number].get("file"), *where]))
        raise ConfigError(f"{_TABLE}: {place}: {error.errors()[0]['msg']}") from None


def archives(source: str) -> dict[str, Archive]:
    """The archives of ``source`` by file name; none for the source "", a package."""
    found = {archive.file: archive for archive in all_archives() if archive.source == source}
    if source and not found:
        raise DataError(f"{_TABLE.name} has no source '{source}'")
    return found


def archive(source: str, file: str) -> Archive:
    """The archive ``file`` of ``source``; a DataError where there is none."""
    known = archives(source)
    if file not in known:
        raise DataError(f"source '{source}' has no archive '{file}'; it has {sorted(known)}")
    return known[file]
