"""One source: a local file, or an address that is asked again until it has brought everything."""

import logging
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from dmlbench.data.archives import Archive
from dmlbench.data.fetching.partial import Partial
from dmlbench.data.fetching.patience import Patience
from dmlbench.data.fetching.problems import Interrupted, SourceError
from dmlbench.data.fetching.request import request
from dmlbench.data.verify import NoChecksumError, verify
from dmlbench.errors import DataError
from dmlbench.progress import counting

log = logging.getLogger(__name__)

_BLOCK = 1 << 20


def fetch(source: str, archive: Archive, partial: Partial, patience: Patience) -> None:
    """Bring ``archive`` from ``source`` into ``partial`` and verify it.

    Args:
        source: A path, or an http, https or file URL.
        archive: What it should be.
        partial: Where it goes. Afterwards it is whole; on an error it holds what can be resumed.
        patience: How long to wait.

    Raises:
        SourceError: The source does not have it.
        NoChecksumError: It is here, and nothing says whether it is the right one.
        DiskError: It cannot be written.
    """
    resumed = _bring(source, archive, partial, patience)
    try:
        verify(partial.path, archive)
    except NoChecksumError:
        raise
    except DataError as error:
        partial.discard()
        if not resumed:
            raise SourceError(str(error).replace(str(partial.path), archive.file)) from None
        log.warning("%s: what was here did not belong to it; from the start again", source)
        fetch(source, archive, partial, patience)


def _bring(source: str, archive: Archive, partial: Partial, patience: Patience) -> bool:
    """Fill ``partial``; return whether it went on from bytes that were there before."""
    try:
        url = urlsplit(source)
    except ValueError as error:
        raise SourceError(f"not an address ({error})") from None
    if url.scheme in ("http", "https"):
        before = partial.size()
        if archive.bytes is None or before != archive.bytes:
            _ask(source, archive, partial, patience)
        return before > 0
    if url.scheme not in ("file", ""):
        raise SourceError(f"cannot fetch {url.scheme}:// addresses, only http, https and file")
    _copy(Path(unquote(url.path) if url.scheme else source).expanduser(), archive, partial)
    return False


def _ask(url: str, archive: Archive, partial: Partial, patience: Patience) -> None:
    """Ask ``url`` until everything is here, or patience is at its end."""
    failures, most, resumed = 0, partial.size(), 0
    with requests.Session() as session:
        while True:
            try:
                request(session, url, archive, partial, patience)
                return
            except Interrupted as error:
                size = partial.size()
                failures = 1 if size > most else failures + 1
                resumed += 1
                most = max(most, size)
                if failures >= (patience.unreachable if error.unreachable else patience.tries):
                    raise SourceError(f"{error}, {failures} times in a row") from None
                if resumed >= patience.resumptions:
                    raise SourceError(
                        f"{error}; it broke off {resumed} times, and {size:,} bytes are here"
                    ) from None
                wait = min(max(patience.before(failures), error.wait), patience.longest)
                log.warning("%s: %s; trying again in %g s", url, error, wait)
                time.sleep(wait)


def _copy(path: Path, archive: Archive, partial: Partial) -> None:
    """Copy a local file, from its start."""
    if partial.path.exists() and path.exists() and path.samefile(partial.path):
        return  # put there by hand
    if not path.is_file():
        raise SourceError("is a folder" if path.is_dir() else "no such file")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror})") from None
    try:
        size = path.stat().st_size
        with stream, partial.writing(0) as append, counting(archive.file, size, "B") as count:
            while block := _read(stream):
                append(block)
                count(len(block))
    except BaseException:
        partial.discard()
        raise


def _read(stream) -> bytes:
    try:
        return stream.read(_BLOCK)
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror})") from None
