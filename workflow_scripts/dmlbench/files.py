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
from typing import TYPE_CHECKING

from dmlbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from pyarrow import Schema

#: Endings of files of weights; any other word is the tag of weights that timm knows.
WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")
#: Error numbers of flock on a file system without locks.
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def local_path(text: str) -> Path:
    """A path that the config names: ``~`` is a home, and others go from the working folder."""
    return Path(os.path.expanduser(text))


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


#: What to do where a file that a step made is damaged.
DAMAGED = "delete it, and run again"
#: The attribute of a table that :func:`read_parquet` holds the others to.
_SEAL = "seal"


def write_parquet(path: Path, table: "pd.DataFrame") -> None:
    """Write ``table`` in one step, with checksums of all its parts; its index is left out."""
    import pyarrow as pa

    sealed = table.copy(deep=False)
    schema = pa.Schema.from_pandas(table, preserve_index=False)
    attributes = {key: value for key, value in table.attrs.items() if key != _SEAL}
    sealed.attrs = {**attributes, _SEAL: _seal(path.name, schema, len(table), attributes)}
    with replacing(path) as temporary:
        sealed.to_parquet(temporary, index=False, write_page_checksum=True)


def read_parquet(path: Path | str, columns: list[str] | None = None) -> "pd.DataFrame":
    """The table that :func:`write_parquet` wrote to ``path``, or some of its ``columns``.

    Parquet itself has a checksum of the values; that of names, types and attributes is ours.

    Raises:
        DataError: The file is not what was written.
    """
    import pandas as pd
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with naming(path):
            with ParquetFile(path) as file:
                schema = file.schema_arrow
            # Without threads: pyarrow waits for ever for one that a limit did not let begin.
            alone = {"use_threads": False, "pre_buffer": False}
            table = pd.read_parquet(path, columns=columns, page_checksum_verification=True, **alone)
        seal = table.attrs.pop(_SEAL, None)
        is_whole = seal == _seal(Path(path).name, schema, len(table), table.attrs)
    except (OSError, ValueError, KeyError, TypeError, ArrowException) as error:
        # What the disk says is no damage; what pyarrow says of a damaged file has no number.
        if isinstance(error, FileNotFoundError | MemoryError) or getattr(error, "errno", None):
            raise
        if os.strerror(errno.EAGAIN) in str(error):  # pyarrow could not start a thread
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path)) from None
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: damaged ({reason:.200}); {DAMAGED}") from None
    if not is_whole:
        raise DataError(f"{path}: not what was written there; {DAMAGED}")
    return table


def _seal(name: str, schema: "Schema", rows: int, attributes: dict) -> str:
    """A hash of the file's name, the names and types of columns in pandas, and what is beside."""
    types = schema.empty_table().to_pandas(use_threads=False).dtypes.astype(str)
    said = [name, list(types.items()), rows, attributes]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
