"""One writer for each run, also between the nodes of a cluster, by flufl.lock.

flufl.lock needs hard links, which shared disks have, and no file locks of the system, which many
clusters leave out. A lock has a lifetime that its holder extends. Here a holder that is dead, or
whose Slurm job has ended, is not waited for until its lock expires.
"""

import glob
import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from flufl.lock import SEP, Lock, NotLockedError, TimeOutError

from dmlbench.errors import DISK_FULL, TrainingError
from dmlbench.workflow.slurm import current_job, has_ended, started

log = logging.getLogger(__name__)
# It reports an ordinary wait as an error.
logging.getLogger("flufl.lock").setLevel(logging.CRITICAL)

#: Seconds between two extensions of a lock, for how long it is extended, and how much longer
#: flufl.lock waits before it breaks one, as clocks differ.
BEAT, LIFETIME, SLOP = 10.0, 50, 10
#: Seconds between two questions to Slurm, until a lock counts that others wanted too, and those
#: that flufl.lock needs to break a lock.
ASK, SETTLE, ROUND = 15.0, 0.5, 3.0


class _FileSystemLock(Lock):
    """A flufl.lock that names its holder's job, and takes the time from the file system."""

    _asked = -ASK
    _judged: dict | None = None

    @property
    def hostname(self) -> str:
        """All that tells whether the holder lives; it stands for the host in the lock file."""
        return urlencode({key: "" if v is None else v for key, v in _here().items()})

    def _now(self) -> datetime:
        """The time by the clock of the file system: those of two machines differ."""
        # A name of its own for each call: two threads ask, and one file would be gone for one.
        with tempfile.NamedTemporaryFile(dir=Path(self.lockfile).parent, prefix=".now-") as probe:
            return datetime.fromtimestamp(os.fstat(probe.fileno()).st_mtime)

    @property
    def _releasetime(self) -> int | datetime:
        """When it may be broken: at once where the holder is gone."""
        self._judged = self.holder
        gone = self._judged and self._is_gone(self._judged)
        return datetime.min if gone else super()._releasetime

    def _break(self) -> None:
        """Break a damaged file too, such as a full disk leaves; flufl.lock would not."""
        holder = self.holder
        if holder != self._judged:  # another process was faster
            return
        log.info("took over from a process that is gone: %s", _words(holder))
        if holder is None:
            Path(self.lockfile).unlink(missing_ok=True)
        else:
            super()._break()

    def _is_gone(self, holder: dict) -> bool:
        """Whether the holder is a dead process of this machine, or its Slurm job has ended."""
        here = _here()
        same = all(holder.get(key) == here[key] for key in ("host", "space"))
        if same and started(holder["pid"]) is None:
            return True
        if time.monotonic() - self._asked < ASK:
            return False
        self._asked = time.monotonic()
        return has_ended(holder)

    @property
    def holder(self) -> dict | None:
        """Host, pid, job and so on; None where nobody holds it, or the file is damaged."""
        try:
            text = Path(self.lockfile).read_text(encoding="utf-8")
            _, here, pid, _ = text.rsplit(SEP, 3)
            known = {key: value or None for key, value in parse_qsl(here, keep_blank_values=True)}
            restarts = int(known["restarts"]) if known["restarts"] else None
            return known | {"pid": int(pid), "restarts": restarts}
        except (FileNotFoundError, ValueError, KeyError):
            return None


def holder_of(path: Path) -> dict | None:
    """Who holds the run lock ``path``: ``host``, ``pid`` and ``job``; None where nobody does."""
    lock = _FileSystemLock(str(path))
    try:
        return lock.holder if lock.expiration > datetime.now() else None
    except FileNotFoundError:
        return None


class RunLock:
    """The run lock: one process trains a run at a time.

    ``lost`` is called from another thread, with the reason, when another process took the run over.
    """

    def __init__(self, path: Path, lost: Callable[[str], None] = lambda reason: None) -> None:
        self.path = path.absolute()
        self._lock = _FileSystemLock(str(self.path), LIFETIME)
        self._lost = lost
        self._ended = threading.Event()

    @contextmanager
    def held(self, wait: float) -> Iterator["RunLock"]:
        """Hold the lock; a TrainingError where another holder does not end in ``wait`` seconds."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beat = threading.Thread(target=self._beat, daemon=True)
        try:
            self._acquire(time.monotonic() + wait)
            beat.start()
            yield self
        finally:
            self._ended.set()
            if beat.is_alive():
                beat.join()
            self._lock.unlock(unconditionally=True)

    def check(self) -> None:
        """Raise a TrainingError where another process took the run over; before every write."""
        if not self._lock.is_locked:
            raise TrainingError(
                f"this run was taken over by {_words(self._lock.holder)}, as this process's job "
                "had ended or it had not been heard of for a minute; nothing more is written here"
            )

    def _acquire(self, until: float) -> None:
        if holder := self._lock.holder:
            log.info("waiting for another process that trains this run: %s", _words(holder))
        while True:
            try:
                self._lock.lock(timeout=timedelta(seconds=max(until - time.monotonic(), ROUND)))
            except OSError as error:
                if error.errno in DISK_FULL:
                    error.filename = str(self.path)
                    raise
                reason = f"cannot be locked, which takes hard links ({error.strerror})"
                raise TrainingError(f"{self.path}: {reason}") from None
            except TimeOutError:
                raise TrainingError(
                    f"another process trains this run: {_words(self._lock.holder)}; wait for it, "
                    f"or end it; if it is gone, delete {self.path}"
                ) from None
            if self._is_settled():
                return
            self._lock.unlock(unconditionally=True)

    def _is_settled(self) -> bool:
        """Whether no other process, known by its claim file, breaks this lock for the old one."""
        claims = self.path.parent.glob(f"{glob.escape(self.path.name)}{SEP}*")
        if all(str(claim) == self._lock.claimfile for claim in claims):
            return True
        time.sleep(SETTLE)
        return self._lock.is_locked

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                self._lock.refresh()
            except NotLockedError:
                self._lost("another process took this run over")
                return
            except OSError as error:  # a shared disk that is away for a while
                log.warning("%s cannot be extended (%s); trying again", self.path, error)


def _here() -> dict:
    """Where this process runs. Two containers of one host may not share process numbers."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = None
    return {"host": platform.node(), "space": space, **current_job()}


def _words(holder: dict | None) -> str:
    if not holder:
        return "nobody knows who"
    job = f", job {holder['job']}" if holder.get("job") else ""
    return f"host {holder['host']}, process {holder['pid']}{job}"
