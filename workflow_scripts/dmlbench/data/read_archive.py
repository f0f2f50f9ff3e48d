"""Reading zip, tar, gzip and Parquet files in one pass, in memory, within limits.

Datasets read their archives only through this module. An archive is not trusted, even with the
right checksum. Nothing is unpacked to disk and no content is run: no pickle is read anywhere.
MATLAB's ``.mat`` files hold numbers and text but no code, so ``scipy.io.loadmat`` may read them.
"""

import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from gzip import GzipFile
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dmlbench.errors import DataError

MEMBER_BYTES = 256 << 20  #: of one member, which is held in memory
TOTAL_BYTES = 64 << 30  #: of all members together
#: Unpacked bytes for each packed one. Images grow by little, MNIST's fivefold, text tenfold; a
#: gzip bomb a thousandfold.
RATIO = 100
HARMLESS_BYTES = 64 << 20  #: are allowed whatever the ratio
HEADER_BYTES = 1 << 20  #: of names and attributes before one member of a tar
_BLOCK = 1 << 20
_EXTENDED_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
# NotImplementedError is a compression that zipfile does not know.
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, struct.error),
    *(EOFError, OSError, NotImplementedError, UnicodeDecodeError, OverflowError),
)


def read_members(
    path: Path, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files in a zip, tar or gzipped tar, in archive order.

    Args:
        path: The archive; its first bytes tell its format.
        wanted: Which names to yield. The other members are checked but not kept.

    Raises:
        DataError: The archive is damaged, or a member is unsafe: an absolute path or one with
            ``..``, a backslash or a drive letter, a link out of the archive (or any link that is
            wanted), a device or pipe, a second file of the same name, or too large.
    """
    path, seen = Path(path), set()
    unpacked = _Unpacked(path)
    with _damage_told(path, "a damaged archive"), path.open("rb") as stream:
        members = _zip_members if stream.read(2) == b"PK" else _tar_members
        for info, content in members(stream, unpacked):
            name = _checked_name(path, info)
            if wanted(name) and not info.isdir():
                if not info.isreg():
                    raise _refused(path, name, f"is a link, to {info.linkname!r}")
                if name in seen:
                    raise _refused(path, name, "is there twice")
                seen.add(name)
                yield name, unpacked.read(content(), name)


def read_gzip(path: Path) -> bytes:
    """The content of a single gzipped file; a DataError where it is damaged or too large."""
    unpacked = _Unpacked(path)
    with _damage_told(path, "not a readable gzip file"), path.open("rb") as stream:
        return unpacked.read(_Counted(GzipFile(fileobj=stream), unpacked), path.stem)


def read_rows(path: Path, columns: list[str]) -> Iterator[dict]:
    """Yield the rows of a Parquet file, each as a dict of ``columns``.

    A DataError tells that the file is damaged, lacks a column, or unpacks to too much.
    """
    import pyarrow.parquet

    unpacked = _Unpacked(path)
    with (
        _damage_told(path, "a damaged Parquet file", pyarrow.ArrowException),
        pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file,
    ):
        if missing := sorted(set(columns) - set(file.schema_arrow.names)):
            raise DataError(f"{path}: has no column {' or '.join(missing)}")
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            chunks = [group.column(n) for n in range(group.num_columns)]
            wanted = [c for c in chunks if c.path_in_schema.partition(".")[0] in columns]
            # What the header says; a group that is too large is refused before it is decoded.
            unpacked.check(sum(chunk.total_uncompressed_size for chunk in wanted))
            # One at a time, as a file of a few kB may repeat one large value in every row.
            for batch in file.iter_batches(1, row_groups=[number], columns=columns):
                unpacked.add(batch.nbytes)
                yield from batch.to_pylist()


class _Unpacked:
    """Counts the bytes that come out of one archive."""

    def __init__(self, path: Path) -> None:
        self.path, self.total = path, 0
        self.limit = min(TOTAL_BYTES, max(HARMLESS_BYTES, RATIO * path.stat().st_size))

    def check(self, size: int) -> None:
        """Raise DataError where ``size`` more bytes are too many, or fewer than none."""
        if size < 0 or self.total + size > self.limit:
            told = f"unpacks to more than {self.limit:,} bytes; the archive is refused"
            raise DataError(f"{self.path} {told}")

    def add(self, size: int) -> None:
        """Count ``size`` more bytes; raise DataError where they are too many."""
        self.check(size)
        self.total += size

    def read(self, stream: BinaryIO, name: str) -> bytes:
        """All of ``stream``, counted block by block: the size in a header is only a claim."""
        blocks, size = [], 0
        while block := stream.read(_BLOCK):
            size += len(block)
            if size > MEMBER_BYTES:
                raise _refused(self.path, name, f"is larger than {MEMBER_BYTES:,} bytes")
            blocks.append(block)
        return b"".join(blocks)


class _Counted:
    """A stream to read from, whose bytes are counted."""

    def __init__(self, stream: BinaryIO, unpacked: _Unpacked) -> None:
        self._stream, self._unpacked, self.close = stream, unpacked, stream.close

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, _BLOCK))
        self._unpacked.add(len(data))
        return data


#: A member as tarfile describes it, and a function that opens its content.
_Member = tuple[tarfile.TarInfo, Callable[[], BinaryIO]]


def _zip_members(stream: BinaryIO, unpacked: _Unpacked) -> Iterator[_Member]:
    """The members of a zip, described as those of a tar are."""
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            info = tarfile.TarInfo(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.flag_bits & 1:
                raise _refused(unpacked.path, info.name, "is encrypted")
            if stat.S_ISLNK(kind):
                info.type = tarfile.SYMTYPE
                with archive.open(member) as content:
                    info.linkname = content.read(_BLOCK).decode(errors="replace")
            elif member.is_dir():
                info.type = tarfile.DIRTYPE
            elif kind and not stat.S_ISREG(kind):
                info.type = tarfile.CHRTYPE  # or a block device, pipe or socket
            # Never more than the header says; a header that says less ends in a bad CRC.
            yield info, lambda member=member: _Counted(archive.open(member), unpacked)


def _tar_members(stream: BinaryIO, unpacked: _Unpacked) -> Iterator[_Member]:
    stream.seek(0)
    gzipped = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    source = _Counted(GzipFile(fileobj=stream) if gzipped else stream, unpacked)
    with closing(source), tarfile.open(fileobj=source, mode="r|", tarinfo=_StrictHeader) as archive:
        while (info := archive.next()) is not None:
            if info.size < 0 or info.issparse():
                raise _refused(unpacked.path, info.name, "is a sparse file or of negative size")
            yield info, lambda info=info: archive.extractfile(info)
            archive.members = []  # tarfile would keep every header
        while source.read(_BLOCK):  # gzip checks its CRC at the end only
            pass


class _StrictHeader(tarfile.TarInfo):
    """A tar header that is an error where it is damaged; tarfile takes that for the end."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _EXTENDED_HEADERS and not 0 <= info.size <= HEADER_BYTES:
            raise tarfile.ReadError(f"a header of more than {HEADER_BYTES:,} bytes")
        return info

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # a block of zeros: the end
            raise
        except (tarfile.HeaderError, ValueError, RecursionError) as error:
            raise tarfile.ReadError(f"cut off or overwritten: {error}") from None


def _checked_name(path: Path, info: tarfile.TarInfo) -> str:
    """The name of a member without ``./``; refused if it is strange or tarfile's filter says so."""
    name = info.name
    strange = {
        "has a name that is not plain text": not name or not name.isprintable(),
        "has a backslash or a drive letter in its path": re.match(r".*\\|[A-Za-z]:", name),
        "leads out of the archive with '..'": ".." in name.split("/"),
        "has an absolute path": name.startswith("/"),
    }
    if reason := next((reason for reason, found in strange.items() if found), None):
        raise _refused(path, name, reason)
    if not info.isreg() and not info.isdir():  # asks the disk about each folder: 100 us a member
        try:
            tarfile.data_filter(info, "/archive")
            if "\\" in info.linkname:
                raise tarfile.FilterError
        except tarfile.SpecialFileError:
            raise _refused(path, name, "is a device or pipe") from None
        except tarfile.FilterError:
            raise _refused(path, name, f"is a link out of it, to {info.linkname!r}") from None
    return str(PurePosixPath(name))


@contextmanager
def _damage_told(path: Path, what: str, *more: type[Exception]) -> Iterator[None]:
    """Turn the errors of the libraries that read archives into DataError."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (*_DAMAGED, *more) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: {what} ({text})") from None


def _refused(path: Path, name: str, reason: str) -> DataError:
    return DataError(f"{path}: member {name!r} {reason}; the archive is refused")
