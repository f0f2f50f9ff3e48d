"""How much an archive may grow when it is unpacked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dmlbench.errors import DataError

#: One file: it is held in memory.
MEMBER_BYTES = 256 << 20
#: All files together.
TOTAL_BYTES = 64 << 30
#: Unpacked bytes for each packed one. Images grow by little, MNIST's fivefold, text tenfold; a
#: gzip bomb a thousandfold.
RATIO = 100
#: Below this no ratio is looked at: many copies of one small image are no attack.
HARMLESS_BYTES = 64 << 20
#: Names and attributes before one file.
HEADER_BYTES = 1 << 20


class Expansion:
    """Counts what came out of one archive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total = 0
        self.packed = path.stat().st_size
        self.limit = min(TOTAL_BYTES, max(HARMLESS_BYTES, RATIO * self.packed))

    def add(
        self, size: int, name: str = "", member: int = 0, compressed: int | None = None
    ) -> None:
        """Count ``size`` more bytes.

        Args:
            size: Bytes.
            name: The member they are of, where it is known.
            member: Bytes that came out of this member so far.
            compressed: Bytes that it takes in the archive.

        Raises:
            DataError: That is absurd.
        """
        self.total += size
        if self.total > self.limit:
            self.refuse(f"unpacks to more than {self.limit:,} bytes", name)
        if compressed is not None and member > max(HARMLESS_BYTES, RATIO * compressed):
            self.refuse(f"unpacks {compressed:,} bytes to more than {member - size:,}", name)

    def refuse(self, reason: str, name: str = "") -> None:
        """Raise DataError with ``reason``."""
        what = f"{self.path}: member {name!r}" if name else str(self.path)
        raise DataError(f"{what} {reason}; the archive is refused")

    def counted(self, stream: BinaryIO) -> "CountedStream":
        """``stream``, every byte read from it counted."""
        return CountedStream(stream, self)


class CountedStream:
    """The reading half of a stream, within limits."""

    def __init__(self, stream: BinaryIO, expansion: Expansion) -> None:
        self._stream = stream
        self._expansion = expansion
        self._header_left: int | None = HEADER_BYTES  # tarfile reads one when it opens

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes.

        Raises:
            DataError: They are more than the limits allow.
        """
        data = self._stream.read(size)
        self._expansion.add(len(data))
        if self._header_left is not None:
            self._header_left -= len(data)
            if self._header_left < 0:
                self._expansion.refuse(f"has a header of more than {HEADER_BYTES:,} bytes")
        return data

    @contextmanager
    def header(self) -> Iterator[None]:
        """While this lasts, only as much may be read as a header needs."""
        self._header_left = HEADER_BYTES
        yield
        self._header_left = None

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
