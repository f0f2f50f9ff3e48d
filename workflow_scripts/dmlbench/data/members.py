"""The only way datasets read archives: member by member, in one pass, nothing written to disk.

An archive is not trusted, even with the right checksum: what a reader allows is what a rebuilt or
hand-placed archive could do. Contents come back as bytes and are never run: no pickle is read
anywhere. MATLAB's ``.mat`` files hold numbers and text but no code, so ``scipy.io.loadmat`` may
read them.
"""

import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from gzip import GzipFile
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dmlbench.data.expansion import MEMBER_BYTES, Expansion
from dmlbench.errors import DataError

_BLOCK = 1 << 20
# NotImplementedError is a compression that zipfile does not know.
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, struct.error),
    *(EOFError, OSError, NotImplementedError, UnicodeDecodeError),
)


def read_members(
    path: Path, wanted: Callable[[str], bool] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files in a zip, tar or gzipped tar, in archive order.

    Args:
        path: The archive; what it is, its first bytes say.
        wanted: Which names to yield; without it all. The others are checked but not kept.

    Raises:
        DataError: The archive is damaged, or a member is unsafe: an absolute path or one with
            ``..``, a backslash or a drive letter, a link out of the archive (or any link that is
            wanted), a device or pipe, a second file of the same name, or absurdly large.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
            stream.seek(0)
            members = _zip_members if start[:2] == b"PK" else _tar_members
            yield from members(path, stream, wanted or (lambda name: True))
    except (FileNotFoundError, PermissionError):
        raise
    except _DAMAGED as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: a damaged archive ({text})") from None


def read_gzip(path: Path) -> bytes:
    """The content of a single gzipped file, within the limits of one member.

    Raises:
        DataError: It is damaged or absurdly large.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream, GzipFile(fileobj=stream) as content:
            return _content(content, path, path.stem, Expansion(path))
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a readable gzip file ({error})") from None


def _zip_members(
    path: Path, stream: BinaryIO, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    expansion, seen = Expansion(path), set()
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            name = _safe_name(path, info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 1:
                raise _refused(path, name, "is encrypted")
            if stat.S_ISLNK(kind):
                with archive.open(info) as content:
                    target = _content(content, path, name, expansion).decode(errors="replace")
                _check_link(path, name, str(PurePosixPath(name).parent), target, wanted(name))
            elif kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
                raise _refused(path, name, "is a device or pipe")
            elif not info.is_dir() and wanted(name):
                _check_new(path, name, seen)
                with archive.open(info) as content:
                    # Never more than the header says; a header that says less ends in a bad CRC.
                    yield name, _content(content, path, name, expansion, info.compress_size)


def _tar_members(
    path: Path, stream: BinaryIO, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    gzipped = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    seen: set[str] = set()
    expansion = Expansion(path)
    source = expansion.counted(GzipFile(fileobj=stream) if gzipped else stream)
    with closing(source), tarfile.open(fileobj=source, mode="r|", tarinfo=_StrictHeader) as archive:
        while (info := _next_header(archive, source)) is not None:
            name = _safe_name(path, info.name)
            if info.issym() or info.islnk():
                folder = str(PurePosixPath(name).parent) if info.issym() else "."
                _check_link(path, name, folder, info.linkname, wanted(name))
            elif info.size < 0:
                raise _refused(path, name, "has a negative size")
            elif info.issparse():
                raise _refused(path, name, "is a sparse file")
            elif not info.isreg() and not info.isdir():
                raise _refused(path, name, "is a device or pipe")
            elif info.isreg() and wanted(name):
                _check_new(path, name, seen)
                yield name, _content(archive.extractfile(info), path, name)
            elif info.isreg():
                _skip(archive.extractfile(info))
            archive.members = []  # tarfile would keep every header
        _skip(source)  # gzip checks its CRC at the end only


class _StrictHeader(tarfile.TarInfo):
    """A header that is damaged, or missing, is an error; tarfile takes it for the end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # a block of zeros: the end
            raise
        except (tarfile.HeaderError, ValueError, RecursionError) as error:
            raise tarfile.ReadError(f"cut off or overwritten: {error}") from None


def _next_header(archive: tarfile.TarFile, source) -> tarfile.TarInfo | None:
    """The next header; one of pax or GNU may be long, and tarfile would read it into memory."""
    with source.header():
        return archive.next()


def _safe_name(path: Path, name: str) -> str:
    """``name`` without ``./``.

    Raises:
        DataError: It could lead out of a folder, or is no text.
    """
    if not name:
        raise _refused(path, name, "has no name")
    if name.startswith("/"):
        raise _refused(path, name, "has an absolute path")
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        raise _refused(path, name, "has a backslash or a drive letter in its path")
    if ".." in name.split("/"):
        raise _refused(path, name, "leads out of the archive with '..'")
    if not name.isprintable():
        raise _refused(path, name, "has a name that is not plain text")
    return str(PurePosixPath(name))


def _check_link(path: Path, name: str, folder: str, target: str, wanted: bool) -> None:
    """Refuse links that lead out, and all that would be read."""
    depth = 0
    for part in PurePosixPath(folder, target).parts:
        depth += {"..": -1, ".": 0}.get(part, 1)
        if depth < 0:
            break
    if depth < 0 or target.startswith("/") or "\\" in target or re.match(r"[A-Za-z]:", target):
        raise _refused(path, name, f"is a link out of the archive, to {target!r}")
    if wanted:
        raise _refused(path, name, f"is a link, to {target!r}")


def _check_new(path: Path, name: str, seen: set[str]) -> None:
    if name in seen:
        raise _refused(path, name, "is there twice")
    seen.add(name)


def _content(
    stream: BinaryIO,
    path: Path,
    name: str,
    expansion: Expansion | None = None,
    compressed: int | None = None,
) -> bytes:
    """All of ``stream``, counted while reading: a header's size is only a claim."""
    blocks, size = [], 0
    while block := stream.read(_BLOCK):
        size += len(block)
        if size > MEMBER_BYTES:
            raise _refused(path, name, f"is larger than {MEMBER_BYTES:,} bytes")
        if expansion:
            expansion.add(len(block), name, size, compressed)
        blocks.append(block)
    return b"".join(blocks)


def _skip(stream: BinaryIO) -> None:
    while stream.read(_BLOCK):
        pass


def _refused(path: Path, name: str, reason: str) -> DataError:
    return DataError(f"{path}: member {name!r} {reason}; the archive is refused")
