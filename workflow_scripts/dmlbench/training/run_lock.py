"""One writer for each run, also between the nodes of a cluster.

A lock is a file that names its holder, who touches it as long as he lives. File locks of the
system are no help: many clusters mount their shared disks without them.
"""

import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dmlbench.errors import TrainingError
from dmlbench.workflow.slurm.commands import current_job, has_ended

log = logging.getLogger(__name__)

#: Seconds between two touches, and after how many without one a holder counts as dead.
BEAT, DEAD = 10.0, 60.0
#: Seconds between two questions to Slurm whether the holder's job still runs.
ASK = 15.0
#: Seconds after which of several who take over a dead holder's lock the last one has it.
SETTLE = 0.5
#: What a lock says at least.
_NAMES = {"token", "host", "pid"}


class RunLock:
    """The lock of one run.

    Args:
        path: Its file.
        lost: Called from another thread, with the reason, when another process took the run over.
    """

    def __init__(self, path: Path, lost: Callable[[str], None] = lambda reason: None) -> None:
        self.path = path
        self.token = uuid.uuid4().hex
        self._lost = lost
        self._ended = threading.Event()
        self._asked = -ASK

    @contextmanager
    def held(self, wait: float) -> Iterator["RunLock"]:
        """Hold the lock; wait up to ``wait`` seconds for another holder to end.

        Raises:
            TrainingError: He does not; names his host and job.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._acquire(time.monotonic() + wait)
        except BaseException:  # told to leave while it waited
            self._release()
            raise
        beat = threading.Thread(target=self._beat, daemon=True)
        beat.start()
        try:
            yield self
        finally:
            self._ended.set()
            beat.join()
            self._release()

    def check(self) -> None:
        """Before anything is written.

        Raises:
            TrainingError: Another process took the run over, because this one seemed dead.
        """
        if not self._is_mine():
            raise TrainingError(
                f"this run was taken over by {_words(self._read())}, as this process's job had "
                "ended or it had not been heard of for a minute; nothing more is written here"
            )

    def _release(self) -> None:
        if self._is_mine():
            self.path.unlink(missing_ok=True)

    def _acquire(self, until: float) -> None:
        told = False
        while True:
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileExistsError:
                holder = self._read()
                if holder is None:
                    continue  # gone meanwhile
                if self._is_dead(holder) and self._take_over(holder):
                    return
                if time.monotonic() > until:
                    raise TrainingError(
                        f"another process trains this run: {_words(holder)}; wait for it, or end "
                        f"it; if it is gone, delete {self.path}"
                    ) from None
                if not told:
                    log.info("waiting for another process that trains this run: %s", _words(holder))
                told = True
                time.sleep(min(1.0, BEAT / 4))
            else:
                with os.fdopen(handle, "w") as file:
                    file.write(self._content())
                return

    def _take_over(self, holder: dict) -> bool:
        """Whether this process has the lock now; of several that try the last one."""
        mine = self.path.with_name(f"{self.path.name}.{self.token}")
        mine.write_text(self._content(), encoding="utf-8")
        mine.replace(self.path)
        time.sleep(SETTLE)
        if not self._is_mine():
            return False
        log.info("took over from a process that is gone: %s", _words(holder))
        return True

    def _content(self) -> str:
        return json.dumps({"token": self.token, **_here(), "pid": os.getpid(), **current_job()})

    def _read(self) -> dict | None:
        """The holder; None where there is none, empty while he writes his name, or of no lock."""
        try:
            holder = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) and holder.keys() >= _NAMES else {}

    def _is_mine(self) -> bool:
        return (self._read() or {}).get("token") == self.token

    def _is_dead(self, holder: dict) -> bool:
        """No process of this machine, not heard of for long, or an orphan of a job that is over."""
        here = _here()
        if here.items() <= holder.items() and not _lives(holder["pid"]):
            return True
        if time.monotonic() - self._asked >= ASK:
            self._asked = time.monotonic()
            if has_ended(holder):
                return True
        try:
            return self._now() - self.path.stat().st_mtime > DEAD
        except FileNotFoundError:
            return False

    def _now(self) -> float:
        """The time by the clock of the file system: those of two machines differ."""
        probe = self.path.with_name(f"{self.path.name}.{self.token}")
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return now

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                if not self._is_mine():
                    self._lost("another process took this run over")
                    return
                self.path.touch()
            except OSError as error:  # a shared disk that is away for a while
                log.warning("%s cannot be touched (%s); trying again", self.path, error)


def _here() -> dict:
    """Where a process number has a meaning: two containers of one host may not share theirs."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return {"host": platform.node(), "space": space}


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
