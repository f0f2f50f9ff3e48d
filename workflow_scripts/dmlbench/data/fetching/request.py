"""One HTTP request: the rest of an archive, appended to what is here."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead

import requests
import urllib3.exceptions

from dmlbench.data.archives import Archive
from dmlbench.data.fetching.partial import Partial
from dmlbench.data.fetching.patience import Patience
from dmlbench.data.fetching.problems import Interrupted, SourceError
from dmlbench.progress import counting

_BLOCK = 1 << 20
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
#: An archive packed anew may be larger, but not without end.
_REPACKED = 4
#: Bytes of an archive whose size nobody published; the largest known one has 1.2 GB.
_UNKNOWN_SIZE = 16 << 30


def request(
    session: requests.Session, url: str, archive: Archive, partial: Partial, patience: Patience
) -> None:
    """Fetch what is missing of ``archive`` from ``url``.

    Raises:
        Interrupted: It stopped on the way; ``partial`` holds what can be resumed.
        SourceError: This is not the archive.
        DiskError: It cannot be written.
    """
    start = partial.size()
    # Compressed on the way, the bytes would not be those of the file, nor its parts.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with _translated(patience):
        response = session.get(
            url, headers=headers, stream=True, timeout=(patience.connect, patience.stall)
        )
    with response:
        start = _first_byte(response, partial, start)
        if start is None:
            return
        total = _check_whole(response, archive, start)
        resumable = response.status_code == 206 or "bytes" in response.headers.get(
            "Accept-Ranges", ""
        )
        try:
            _receive(response, archive, partial, start, total, patience)
        except BaseException as error:
            wrong = isinstance(error, SourceError) and not isinstance(error, Interrupted)
            if wrong or not resumable:
                partial.discard()
            raise


def _first_byte(response: requests.Response, partial: Partial, start: int) -> int | None:
    """The position of the first byte that is coming; None where all are here."""
    code = response.status_code
    content_range = response.headers.get("Content-Range", "")
    if code == 206 and re.match(rf"bytes {start}-", content_range):
        return start
    if code == 416 and start and content_range == f"bytes */{start}":
        return None
    if code in (206, 416):
        partial.discard()
        raise Interrupted(f"has other bytes than asked for ({content_range or 'no range'})")
    if code == 200:
        return 0
    problem = f"HTTP {code} {response.reason or ''}".strip()
    if code in _TRY_AGAIN:
        after = response.headers.get("Retry-After", "")
        raise Interrupted(problem, wait=int(after) if after.isdecimal() else 0)
    raise SourceError(problem)


def _check_whole(response: requests.Response, archive: Archive, start: int) -> int | None:
    """The size of the whole file, where it is told.

    Raises:
        SourceError: It is not the archive's, or this is a web page.
    """
    kind = response.headers.get("Content-Type", "").lower()
    if "html" in kind:
        raise SourceError("a web page (HTML) came instead of the file")
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal():
        return archive.bytes
    total = start + int(length)
    if archive.bytes is None and total > _UNKNOWN_SIZE:
        raise SourceError(f"another file: {total:,} bytes, more than any archive has")
    if archive.bytes not in (None, total) and not archive.members_sha256:
        what = "short file" if total < archive.bytes else "another file"
        raise SourceError(f"{what}: {total:,} bytes, should be {archive.bytes:,}")
    return total


def _receive(
    response: requests.Response,
    archive: Archive,
    partial: Partial,
    start: int,
    total: int | None,
    patience: Patience,
) -> None:
    most = _UNKNOWN_SIZE
    if archive.bytes is not None:
        most = archive.bytes * (_REPACKED if archive.members_sha256 else 1)
    size = start
    speed = _Speed(patience)
    with partial.writing(start) as append, counting(archive.file, total, "B", start) as count:
        while block := _read(response, patience):
            if size == 0 and re.match(rb"\s*<(!doctype html|html)", block[:100].lower()):
                raise SourceError("a web page (HTML) came instead of the file")
            if size + len(block) > most:
                raise SourceError(f"another file: more than {most:,} bytes")
            append(block)
            size += len(block)
            count(len(block))
            speed.check(size - start)
    if total is not None and size < total:
        # Without Content-Length a closed connection looks like the end.
        raise Interrupted(f"short file: the connection closed after {size:,} of {total:,} bytes")


class _Speed:
    """Watches that a connection that never stalls does not drip either."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since, self._size = time.monotonic(), 0

    def check(self, size: int) -> None:
        """Take note that ``size`` bytes have come.

        Raises:
            Interrupted: Those of the last minute are too few.
        """
        seconds = time.monotonic() - self._since
        if seconds < self._patience.window:
            return
        if (speed := (size - self._size) / seconds) < self._patience.slowest:
            raise Interrupted(f"too slow: {speed:,.0f} bytes a second")
        self._since, self._size = time.monotonic(), size


def _read(response: requests.Response, patience: Patience) -> bytes:
    """The next bytes as they lie on the server, whatever Content-Encoding says of them."""
    with _translated(patience):
        # read1 returns what is there; read would lose it when the connection breaks.
        return response.raw.read1(_BLOCK, decode_content=False) or b""


@contextmanager
def _translated(patience: Patience) -> Iterator[None]:
    """Network errors in words."""
    try:
        yield
    except (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError):
        raise Interrupted(f"stalled: nothing came for {patience.stall:g} s") from None
    except requests.exceptions.SSLError as error:
        raise SourceError(f"no secure connection ({_reason(error)})") from None
    except requests.ConnectionError as error:
        refused = bool(error.args) and isinstance(error.args[0], urllib3.exceptions.MaxRetryError)
        raise Interrupted(f"no connection ({_reason(error)})", unreachable=refused) from None
    except requests.TooManyRedirects:
        raise SourceError("redirects in a circle") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            raise SourceError(f"not an address ({error})") from None
        raise Interrupted(f"the connection was cut ({_reason(error)})") from None


def _reason(error: BaseException) -> str:
    """The innermost cause, on one line: the outer ones repeat host, address and the cause."""
    while (inner := _inner(error)) is not None:
        error = inner
    if isinstance(error, IncompleteRead):
        missing = error.expected
        return f"{missing:,} bytes are missing" if missing else "it ended in the middle"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return re.sub(r"^.*?(Connection|Pool)\(.*?\)>?: ", "", " ".join(str(text).split()))


def _inner(error: BaseException) -> BaseException | None:
    """What ``error`` wraps: requests and urllib3 put it among the arguments, mostly last."""
    inner = [getattr(error, "reason", None), *reversed(error.args)]
    return next((e for e in inner if isinstance(e, BaseException)), None)
