"""One http address of an archive: asked for what is missing until everything is here."""

import itertools
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import IncompleteRead
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError
from urllib3.util import Retry

from dmlbench.config.archive_table import Archive
from dmlbench.errors import DataError
from dmlbench.progress import counting

log = logging.getLogger(__name__)

_BLOCK = 1 << 20
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
#: A repacked archive may be larger than the published one, within this factor.
_REPACKED = 4
#: Bytes of an archive whose size nobody published; the largest known one has 1.2 GB.
_UNKNOWN_SIZE = 16 << 30


class SourceError(DataError):
    """This source does not have the archive; the next one may."""


class _Interrupted(Exception):
    """This request failed; the next one may go on where it stopped."""


@dataclass(frozen=True)
class Patience:
    """How long a download waits, and how often it tries again. Times are in seconds."""

    tries: int = 4  #: requests in a row that bring nothing new, before a source is given up
    unreachable: int = 2  #: the same where the server does not answer at all
    resumptions: int = 200  #: requests in all that broke off: each may bring only one byte
    wait: float = 1.0  #: before another try; it doubles from try to try
    longest: float = 60.0  #: no wait is longer, whatever the server asks for
    connect: float = 20.0  #: to connect
    stall: float = 60.0  #: without a byte
    slowest: float = 500.0  #: bytes per second; a connection that brings less is cut
    window: float = 60.0  #: over which that is measured

    def session(self) -> requests.Session:
        """A session that repeats a request until there is an answer other than ``_TRY_AGAIN``."""
        retry = Retry(
            total=None,
            connect=self.unreachable - 1,
            other=self.unreachable - 1,
            read=False,  # an answer that breaks off is resumed by HttpSource
            status=self.tries - 1,
            status_forcelist=_TRY_AGAIN,
            raise_on_status=False,
            backoff_factor=self.wait,
            backoff_max=self.longest,
            retry_after_max=self.longest,
        )
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        return session


def size_of(part: Path) -> int:
    """The bytes that are in ``part``; 0 where there is no such file."""
    return part.stat().st_size if part.exists() else 0


class HttpSource:
    """An http or https address of an archive.

    Args:
        url: The address.
        archive: What should lie there.
        part: The file that takes the bytes. It outlives the process, so that a later one goes on.
        patience: How long to wait.
    """

    def __init__(self, url: str, archive: Archive, part: Path, patience: Patience) -> None:
        self.url, self.archive, self.part, self.patience = url, archive, part, patience
        self._etag = ""

    def fetch(self) -> None:
        """Ask for what is missing, and again after each break, until everything is here.

        Raises:
            SourceError: This address does not bring the archive.
            OSError: ``part`` cannot be written.
        """
        failures, most, patience = 0, size_of(self.part), self.patience
        with patience.session() as session:
            for breaks in itertools.count(1):
                try:
                    return self._request(session)
                except _Interrupted as error:
                    size = size_of(self.part)
                    failures = 1 if size > most else failures + 1
                    most = max(most, size)
                    if failures >= patience.tries:
                        raise SourceError(f"{error}, {failures} times in a row") from None
                    if breaks >= patience.resumptions:
                        told = f"it broke off {breaks} times, and {size:,} bytes are here"
                        raise SourceError(f"{error}; {told}") from None
                    wait = min(patience.wait * 2 ** (failures - 1), patience.longest)
                    log.warning("%s: %s; trying again in %g s", self.url, error, wait)
                    time.sleep(wait)

    def _request(self, session: requests.Session) -> None:
        """Ask once for what is missing, and append it."""
        start = size_of(self.part)
        # Compressed on the way, the bytes and the ranges would not be those of the file.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        if start and self._etag:
            headers["If-Range"] = self._etag  # a file that has changed comes from its start
        timeout = (self.patience.connect, self.patience.stall)
        with self._in_words():
            response = session.get(self.url, headers=headers, stream=True, timeout=timeout)
        with response:
            first = self._first_byte(response, start)
            if first is None:
                return
            total = self._size_of_whole(response, first)
            etag = response.headers.get("ETag", "")
            self._etag = etag if etag.startswith('"') else ""  # a weak one says nothing of bytes
            ranges = response.headers.get("Accept-Ranges", "")
            resumable = response.status_code == 206 or "bytes" in ranges
            try:
                self._receive(response, first, total)
            except BaseException as error:
                if isinstance(error, SourceError) or not resumable or not size_of(self.part):
                    self.part.unlink(missing_ok=True)
                raise

    def _first_byte(self, response: requests.Response, start: int) -> int | None:
        """The position of the first byte of the answer; None where all bytes are here."""
        code = response.status_code
        content_range = response.headers.get("Content-Range", "")
        if code == 200:
            return 0
        if code == 206 and content_range.startswith(f"bytes {start}-"):
            return start
        if code == 416 and start and content_range == f"bytes */{start}":
            return None
        if code in (206, 416):
            self.part.unlink(missing_ok=True)
            raise _Interrupted(f"has other bytes than asked for ({content_range or 'no range'})")
        tries = len(response.raw.retries.history) + 1
        again = f", {tries} times in a row" if code in _TRY_AGAIN else ""
        raise SourceError(f"HTTP {code} {response.reason or ''}".strip() + again)

    def _size_of_whole(self, response: requests.Response, first: int) -> int | None:
        """The size of the whole file, where it is known; refuses another file or a web page."""
        if "html" in response.headers.get("Content-Type", "").lower():
            raise SourceError("a web page (HTML) came instead of the file")
        length, expected = response.headers.get("Content-Length", ""), self.archive.bytes
        total = first + int(length) if length.isdecimal() else expected
        if expected not in (None, total) and not self.archive.members_sha256:
            what = "short file" if total < expected else "another file"
            raise SourceError(f"{what}: {total:,} bytes, should be {expected:,}")
        return total

    def _receive(self, response: requests.Response, first: int, total: int | None) -> None:
        most, size = _UNKNOWN_SIZE, first
        if self.archive.bytes is not None:
            most = self.archive.bytes * (_REPACKED if self.archive.members_sha256 else 1)
        since, before = time.monotonic(), first
        name = self.archive.file
        mode = "ab" if first else "wb"
        with self.part.open(mode) as file, counting(name, total, "B", first) as count:
            while block := self._read(response):
                if size == 0 and re.match(rb"\s*<(!doctype html|html)", block[:100].lower()):
                    raise SourceError("a web page (HTML) came instead of the file")
                if size + len(block) > most:
                    raise SourceError(f"another file: more than {most:,} bytes")
                file.write(block)
                size += len(block)
                count(len(block))
                if (seconds := time.monotonic() - since) >= self.patience.window:
                    if (speed := (size - before) / seconds) < self.patience.slowest:
                        raise _Interrupted(f"too slow: {speed:,.0f} bytes a second")
                    since, before = time.monotonic(), size
        if total is not None and size < total:
            # Without Content-Length, a closed connection looks like the end.
            raise _Interrupted(f"short file: the connection closed after {size:,} of {total:,}")

    def _read(self, response: requests.Response) -> bytes:
        """The next bytes of the file itself, whatever Content-Encoding says."""
        with self._in_words():
            # read1 returns what has come; read would lose it when the connection breaks.
            return response.raw.read1(_BLOCK, decode_content=False) or b""

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turn the errors of the network into SourceError and _Interrupted."""
        patience = self.patience
        try:
            yield
        except (requests.ReadTimeout, ReadTimeoutError):
            raise _Interrupted(f"stalled: nothing came for {patience.stall:g} s") from None
        except requests.exceptions.SSLError as error:
            raise SourceError(f"no secure connection ({_cause(error)})") from None
        except requests.TooManyRedirects:
            raise SourceError("redirects in a circle") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise SourceError(f"not an address ({error})") from None
        except (requests.RequestException, HTTPError, OSError) as error:
            if error.args and isinstance(error.args[0], MaxRetryError):
                told = f"no connection ({_cause(error)}), {patience.unreachable} times in a row"
                raise SourceError(told) from None
            raise _Interrupted(f"the connection was cut ({_cause(error)})") from None


def _cause(error: BaseException) -> str:
    """The innermost error on one line: requests and urllib3 wrap it, mostly as last argument."""
    for wrapped in (getattr(error, "reason", None), *reversed(error.args)):
        if isinstance(wrapped, BaseException):
            return _cause(wrapped)
    if isinstance(error, IncompleteRead):
        missing = error.expected
        return f"{missing:,} bytes are missing" if missing else "it ended in the middle"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return re.sub(r"^.*?(Connection|Pool)\(.*?\)>?: ", "", " ".join(str(text).split()))
