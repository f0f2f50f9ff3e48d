"""The part of an archive that is here so far."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dmlbench.data.fetching.problems import DiskError

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Partial:
    """A file beside ``target``, with ``.part`` at the end of its name.

    It outlives the process, so that a later one goes on where this one stopped.

    Args:
        target: Where the whole archive is to be.
        expected: The size of the whole, where it is known.
    """

    def __init__(self, target: Path, expected: int | None) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.expected = expected

    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def discard(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the whole, verified archive its name."""
        self.path.replace(self.target)

    @contextmanager
    def writing(self, start: int) -> Iterator[Callable[[bytes], None]]:
        """Yield what appends bytes after the first ``start``.

        Raises:
            DiskError: They cannot be written.
        """
        with self._disk():
            self._check_space(start)
            # Unbuffered: what could not be written must not be tried again when the file is closed.
            stream = self.path.open("r+b" if start else "wb", buffering=0)
            stream.seek(start)
            stream.truncate()

        def append(data: bytes) -> None:
            rest = memoryview(data)
            with self._disk():
                while rest:
                    rest = rest[write(stream, rest) :]

        try:
            with stream:
                yield append
        finally:
            if not self.size():
                self.discard()

    def _check_space(self, start: int) -> None:
        """Tell before an hour of download that it will not fit."""
        if (missing := (self.expected or 0) - start) > shutil.disk_usage(self.path.parent).free:
            raise OSError(errno.ENOSPC, f"{missing:,} bytes are missing")

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._problem(error) from None

    def _problem(self, error: OSError) -> DiskError:
        folder = self.path.parent
        if error.errno not in _FULL:
            return DiskError(
                f"{self.path} cannot be written: {error.strerror}; mend that and run again"
            )
        needs = "" if self.expected is None else f" (it needs {self.expected:,} bytes)"
        free = shutil.disk_usage(folder).free
        return DiskError(
            f"the disk of {folder} is full: {free:,} bytes are free{needs}; make room and run again"
        )


def write(stream, data: memoryview) -> int:
    """Write some of ``data``; return how much (tests put a full disk here)."""
    return stream.write(data)
