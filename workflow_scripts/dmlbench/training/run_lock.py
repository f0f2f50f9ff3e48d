"""One writer for each run, also between the nodes of a cluster, by flufl.lock.

flufl.lock needs hard links, which shared disks have, and no file locks of the system, which many
clusters leave out. A lock has a lifetime that its holder extends. What is added here: a holder
that is dead, or whose Slurm job has ended, is not waited for until its lock expires.
"""

import glob
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from flufl.lock import SEP, Lock, NotLockedError, TimeOutError

from dmlbench.errors import TrainingError
from dmlbench.workflow.slurm import current_job, has_ended

log = logging.getLogger(__name__)
# It reports an ordinary wait as an error.
logging.getLogger("flufl.lock").setLevel(logging.CRITICAL)

#: Seconds between two extensions of a lock, for how long it is extended, and how much longer
#: flufl.lock waits before it breaks one, as clocks differ.
BEAT, LIFETIME, SLOP = 10.0, 50, 10
#: Seconds between two questions to Slurm whether the holder's job still runs.
ASK = 15.0
#: Seconds until a lock counts that other processes wanted too.
SETTLE = 0.5


class _FileSystemLock(Lock):
    """A flufl.lock that names its holder's job, and takes the time from the file system."""

    @property
    def hostname(self) -> str:
        """What stands for the host in the lock file: all that tells whether its holder lives."""
        return urlencode({key: "" if v is None else v for key, v in _here().items()})

    def _now(self) -> datetime:
        """The time by the clock of the file system: those of two machines differ."""
        probe = Path(f"{self.claimfile}.now")
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return datetime.fromtimestamp(now)

    def _break(self) -> None:
        """Break a damaged file too, such as a full disk leaves; flufl.lock would not."""
        if os.path.exists(self.lockfile) and self.holder is None:
            Path(self.lockfile).unlink(missing_ok=True)
        else:
            super()._break()

    @property
    def holder(self) -> dict | None:
        """Who holds it: host, space, pid, job, restarts, cluster and the name of its claim file.

        None where nobody does, or the file is damaged.
        """
        try:
            text = Path(self.lockfile).read_text(encoding="utf-8")
            _, here, pid, _ = text.rsplit(SEP, 3)
            known = {key: value or None for key, value in parse_qsl(here, keep_blank_values=True)}
            restarts = int(known["restarts"]) if known["restarts"] else None
            return known | {"pid": int(pid), "restarts": restarts, "claim": Path(text).name}
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

    Args:
        path: Its file.
        lost: Called from another thread, with the reason, when another process took the run over.
    """

    def __init__(self, path: Path, lost: Callable[[str], None] = lambda reason: None) -> None:
        self.path = path.absolute()
        self._lock = _FileSystemLock(str(self.path), LIFETIME)
        self._lost = lost
        self._ended = threading.Event()
        self._asked = -ASK

    @contextmanager
    def held(self, wait: float) -> Iterator["RunLock"]:
        """Hold the run lock; wait up to ``wait`` seconds for another holder to end.

        Raises:
            TrainingError: The holder does not end (the message names its host and job), or the
                file system has no hard links.
        """
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
        """Call before anything is written.

        Raises:
            TrainingError: Another process took the run over, because this one seemed dead.
        """
        if not self._lock.is_locked:
            raise TrainingError(
                f"this run was taken over by {_words(self._lock.holder)}, as this process's job "
                "had ended or it had not been heard of for a minute; nothing more is written here"
            )

    def _acquire(self, until: float) -> None:
        told = False
        while True:
            holder = self._lock.holder
            can_be_broken = self._can_be_broken(holder)
            try:
                # Breaking a lock that has expired takes flufl.lock two rounds of up to 2 s.
                self._lock.lock(timeout=3 if can_be_broken else 0)
            except OSError as error:
                reason = f"cannot be locked, which takes hard links ({error.strerror})"
                raise TrainingError(f"{self.path}: {reason}") from None
            except TimeOutError:
                words = _words(holder)
                if time.monotonic() > until:
                    raise TrainingError(
                        f"another process trains this run: {words}; wait for it, or end it; if it "
                        f"is gone, delete {self.path}"
                    ) from None
                if not told:
                    log.info("waiting for another process that trains this run: %s", words)
                told = True
                time.sleep(min(1.0, BEAT / 4))
                continue
            if self._is_settled():
                if can_be_broken:
                    log.info("took over from a process that is gone: %s", _words(holder))
                return
            self._lock.unlock(unconditionally=True)

    def _is_settled(self) -> bool:
        """Whether the lock is held for good.

        Of several processes that break an old lock, one that began before this process got its own
        may break that. Their claim files tell that they are there.
        """
        claims = self.path.parent.glob(f"{glob.escape(self.path.name)}{SEP}*")
        if all(str(claim) == self._lock.claimfile for claim in claims):
            return True
        time.sleep(SETTLE)
        return self._lock.is_locked

    def _can_be_broken(self, holder: dict | None) -> bool:
        """Whether the lock has expired; if its holder is gone, it expires now."""
        try:
            if holder and self._is_gone(holder):
                # The claim file is the same inode; it is gone if another process was faster.
                os.utime(self.path.with_name(holder["claim"]), (0, 0))
                return True
            left = self._lock.expiration - self._lock._now()
        except FileNotFoundError:
            return False
        return left.total_seconds() < -SLOP

    def _is_gone(self, holder: dict) -> bool:
        """Whether it is no process of this machine, or an orphan of a Slurm job that has ended."""
        here = _here()
        same = all(holder.get(key) == here[key] for key in ("host", "space"))
        if same and not _lives(holder["pid"]):
            return True
        if time.monotonic() - self._asked < ASK:
            return False
        self._asked = time.monotonic()
        return has_ended(holder)

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


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # killed, but not yet buried by its parent
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def _words(holder: dict | None) -> str:
    if not holder:
        return "nobody knows who"
    job = f", job {holder['job']}" if holder.get("job") else ""
    return f"host {holder['host']}, process {holder['pid']}{job}"
