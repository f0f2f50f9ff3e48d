"""Writing files so that a reader never sees half of one, and knowing one again."""

import errno
import fcntl
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmlbench.errors import DataError

if TYPE_CHECKING:  # imported only where a table is read or written: planning needs none
    import pandas as pd

#: Endings of files of weights; any other word is the tag of weights that timm knows.
WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")
#: Error numbers of flock on a file system without locks.
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
#: What to do where a file that a step made is damaged.
AGAIN = "delete it, and run again"
#: Where a table keeps the hash of what it holds; pandas stores its ``attrs`` with it.
_KEPT = "table_sha256"


def checksum_of(path: Path | str, method: str = "sha256") -> str:
    """The checksum of a file, in hexadecimal; ``method`` as hashlib calls it."""
    with naming(path), open(path, "rb") as stream:
        return hashlib.file_digest(stream, method).hexdigest()


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Have what the system says of a full or failing disk name ``path``: most calls do not."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it there when the block ends well.

    The temporary name keeps the suffix, because several writers choose their format by it. A lock
    on the temporary file ends with its process; what a killed process left is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(path)
    handle, temporary = _make_temporary(path)
    try:
        with naming(path):
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp makes files only their owner can read
            with temporary.open("rb") as written:  # a power cut must not leave less of it
                os.fsync(written.fileno())
            temporary.replace(path)
            _keep_name(path.parent)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _keep_name(folder: Path) -> None:
    """Have a power cut not take the names in ``folder`` away; some file systems cannot."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _make_temporary(path: Path) -> tuple[int, Path]:
    """A new, locked file beside ``path``: its handle, which holds the lock, and its name."""
    while True:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=path.suffix, dir=path.parent)
        # Before the lock was there, another process may have taken it for a stale one.
        if _lock(handle) is not False and os.path.exists(name):
            return handle, Path(name)
        os.close(handle)


def remove_stale(path: Path) -> None:
    """Remove the temporary files of ``path`` that no living process holds."""
    pattern = f"{glob.escape(_prefix(path))}*{glob.escape(path.suffix)}"
    for file in path.parent.glob(pattern):
        try:
            handle = os.open(file, os.O_RDWR)
        except (FileNotFoundError, PermissionError):  # finished meanwhile, or another user's
            continue
        try:
            if _lock(handle):
                file.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _prefix(path: Path) -> str:
    return f".tmp-{path.stem}-"


def _lock(handle: int) -> bool | None:
    """Whether ``handle`` is locked now, by us; None where the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return None
    return True


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON with sorted keys; NaN is refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as Parquet, with the hash of its name, columns and values."""
    table = table.copy(deep=False)
    table.attrs = {**table.attrs, _KEPT: _hash(table, path.name)}
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_table(path: Path | str, again: str, **how: Any) -> "pd.DataFrame":
    """Read a table of Parquet or CSV; ``how`` goes to pandas.

    Files of before benchmark version 1.1 hold no hash.

    Raises:
        DataError: It is damaged, or another file; says with ``again`` what to do.
        FileNotFoundError: It is not there.
    """
    import pandas as pd

    parquet = Path(path).suffix == ".parquet"
    try:
        with naming(path):
            table = pd.read_parquet(path, **how) if parquet else pd.read_csv(path, **how)
    except (OSError, ValueError, KeyError, TypeError, UnicodeError) as error:
        # What the disk says is no damage; what pyarrow says of a damaged file has no number.
        if isinstance(error, FileNotFoundError) or getattr(error, "errno", None):
            raise
        reason = str(error).partition("\n")[0][:100] or type(error).__name__
        raise DataError(f"{path}: cannot be read ({reason}); {again}") from None
    if not parquet and not Path(path).read_bytes().endswith(b"\n"):
        raise DataError(f"{path}: ends in the middle of a line; {again}")
    if table.attrs.get(_KEPT) not in (None, _hash(table, Path(path).name)):
        raise DataError(f"{path}: is not what was written there; {again}")
    return table


def _hash(table: "pd.DataFrame", name: str) -> str:
    import pandas as pd

    digest = hashlib.sha256(repr([name, *table.columns]).encode())
    digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    return digest.hexdigest()
