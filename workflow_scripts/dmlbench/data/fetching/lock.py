"""One process at a time for one file."""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Wait until no other process has ``target``; the lock file beside it is gone afterwards.

    The lock ends with its process, however that ends.
    """
    path = target.with_name(f".{target.name}.lock")
    handle = _acquire(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: nobody else's can be there
        os.close(handle)


def _acquire(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _flock(handle, path)
            if _is_still(path, handle):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_still(path: Path, handle: int) -> bool:
    """Whoever held the lock before has deleted the file that was waited for."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _flock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("another process is fetching it (%s); waiting", path)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        log.warning("%s: this file system has no locks; fetch it once at a time", path)
