"""One http address of an archive: asked for what is missing until everything is here."""

import logging
import re
import time
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
_WEB_PAGE = "a web page (HTML) came instead of the file"
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_REPACKED = 4  #: times the published size is allowed where an archive may be packed anew
_UNKNOWN_SIZE = 16 << 30  #: bytes where nobody published a size; the largest known one has 1.2 GB


class SourceError(DataError):
    """This source does not have the archive; the next one may."""


class _Interrupted(Exception):
    """This request failed; the next one may go on where it stopped."""


@dataclass(frozen=True)
class Patience:
    """How long a download waits, and how often it tries again. Times are in seconds."""

    tries: int = 4  #: requests in a row that fail and bring less than ``least``
    wait: float = 1.0  #: before another try; it doubles from try to try
    longest: float = 60.0  #: no wait is longer, whatever the server asks for
    stall: float = 60.0  #: a connection is cut that brings less than ``least`` in this time
    least: int = 30_000  #: bytes


def size_of(part: Path) -> int:
    """The bytes that are in ``part``; 0 where there is no such file."""
    return part.stat().st_size if part.exists() else 0


@dataclass
class HttpSource:
    """An http or https address, and the archive that should lie there."""

    url: str
    archive: Archive
    part: Path  #: the file for its bytes, which outlives the process, so that a later one goes on
    patience: Patience
    _etag: str = ""

    def fetch(self) -> None:
        """Ask for what is missing, and again after each break, until everything is here.

        Raises:
            SourceError: This address does not bring the archive.
            OSError: ``part`` cannot be written.
        """
        failures, most = 0, size_of(self.part)
        with self._session() as session:
            while True:
                try:
                    return self._request(session)
                except _Interrupted as error:
                    size = size_of(self.part)
                    failures = 1 if size - most >= self.patience.least else failures + 1
                    most = max(most, size)
                    if failures >= self.patience.tries:
                        raise SourceError(f"{error}, {failures} times in a row") from None
                    wait = self.patience.wait * 2 ** (failures - 1)
                    log.warning("%s: %s; trying again in %g s", self.url, error, wait)
                    time.sleep(wait)

    def _session(self) -> requests.Session:
        """A session that repeats a request until there is an answer other than ``_TRY_AGAIN``."""
        retry = Retry(
            total=self.patience.tries - 1,
            read=False,  # an answer that breaks off is resumed by fetch
            status_forcelist=_TRY_AGAIN,
            raise_on_status=False,
            backoff_factor=self.patience.wait,
            retry_after_max=self.patience.longest,
        )
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        return session

    def _request(self, session: requests.Session) -> None:
        """Ask once for what is missing, and append it; network errors become ours."""
        start = size_of(self.part)
        # Compressed on the way, the bytes and the ranges would not be those of the file.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        if start and self._etag:
            headers["If-Range"] = self._etag  # a file that has changed comes from its start
        timeout = (20.0, self.patience.stall)  # to connect, and without a byte
        try:
            with session.get(self.url, headers=headers, stream=True, timeout=timeout) as response:
                first = self._first_byte(response, start)
                if first is not None:
                    self._receive(response, first)
        except (requests.ReadTimeout, ReadTimeoutError):
            raise _Interrupted(f"nothing came for {self.patience.stall:g} s") from None
        except (requests.RequestException, HTTPError) as error:
            retried = bool(error.args) and isinstance(error.args[0], MaxRetryError)
            if isinstance(error, requests.ConnectionError | HTTPError) and not retried:
                raise _Interrupted(f"the connection was cut ({_cause(error)})") from None
            again = f", {self.patience.tries} times in a row" if retried else ""
            raise SourceError(f"no connection ({_cause(error)}){again}") from None

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
        again = f", {self.patience.tries} times in a row" if code in _TRY_AGAIN else ""
        raise SourceError(f"HTTP {code} {response.reason or ''}".strip() + again)

    def _receive(self, response: requests.Response, first: int) -> None:
        """Append the answer to ``part``, and keep that only if it can be resumed."""
        headers, expected = response.headers, self.archive.bytes
        if "html" in headers.get("Content-Type", "").lower():
            raise SourceError(_WEB_PAGE)
        length = headers.get("Content-Length", "")
        total = first + int(length) if length.isdecimal() else expected
        if expected not in (None, total) and not self.archive.members_sha256:
            what = "short file" if total < expected else "another file"
            raise SourceError(f"{what}: {total:,} bytes, should be {expected:,}")
        etag = headers.get("ETag", "")
        self._etag = etag if etag.startswith('"') else ""  # a weak one says nothing of bytes
        resumable = response.status_code == 206 or "bytes" in headers.get("Accept-Ranges", "")
        try:
            self._append(response, first, total)
        except BaseException as error:
            if isinstance(error, SourceError) or not resumable or not size_of(self.part):
                self.part.unlink(missing_ok=True)
            raise

    def _append(self, response: requests.Response, first: int, total: int | None) -> None:
        most, size = _UNKNOWN_SIZE, first
        if self.archive.bytes is not None:
            most = self.archive.bytes * (_REPACKED if self.archive.members_sha256 else 1)
        since, before = time.monotonic(), first
        name, mode = self.archive.file, "ab" if first else "wb"
        with self.part.open(mode) as file, counting(name, total, "B", first) as count:
            # read1 returns what has come, whatever Content-Encoding says; read would lose it when
            # the connection breaks.
            while block := response.raw.read1(_BLOCK, decode_content=False):
                if size == 0 and re.match(rb"\s*<(!doctype html|html)", block[:100].lower()):
                    raise SourceError(_WEB_PAGE)
                if size + len(block) > most:
                    raise SourceError(f"another file: more than {most:,} bytes")
                file.write(block)
                size += len(block)
                count(len(block))
                if (seconds := time.monotonic() - since) >= self.patience.stall:
                    if size - before < self.patience.least:
                        raise _Interrupted(f"too slow: {size - before:,} bytes in {seconds:g} s")
                    since, before = time.monotonic(), size
        if total is not None and size < total:
            # Without Content-Length, a closed connection looks like the end.
            raise _Interrupted(f"short file: the connection closed after {size:,} of {total:,}")


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
