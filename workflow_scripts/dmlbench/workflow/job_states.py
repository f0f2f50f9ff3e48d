"""What became of a job: a small file beside its log, for as long as it has not ended well.

Logs are for people. The ledger and ``make status`` need to know which jobs run and why one failed,
also of one that was killed and could say nothing.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dmlbench.errors import DivergedError, OutOfMemoryError, Unfinished
from dmlbench.files import write_json

#: Seconds between two touches of a running job's file, and after how many without one it is dead.
BEAT, DEAD = 20.0, 120.0
RUNNING = "running"
KILLED = "killed: by the system for its memory, with its node, or by hand; see the log"


class JobState(NamedTuple):
    """A job that runs or did not end well.

    Attributes:
        state: running, diverged, out of memory, out of time, failed; or missing, of one that was
            interrupted and goes on when it is started again.
        reason: Why, in one line.
    """

    state: str
    reason: str


def state_file(log: Path) -> Path:
    """Where the state of the job with this log lies."""
    return log.with_suffix(".state.json")


def read_state(log: Path) -> JobState | None:
    """The state of the job with this log; None where it ended well or never began."""
    file = state_file(log)
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        age = time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return None
    if said["state"] == RUNNING and age > DEAD:
        return JobState("failed", KILLED)
    return JobState(said["state"], said["reason"])


@contextmanager
def noted(log: Path | None) -> Iterator[None]:
    """While this lasts the job counts as running; afterwards as what its exception says, if any."""
    if log is None:
        yield
        return
    file, ended, state = state_file(log), threading.Event(), None
    write_json(file, JobState(RUNNING, "")._asdict())

    def touch() -> None:
        while not ended.wait(BEAT):
            file.touch()

    beat = threading.Thread(target=touch, daemon=True)
    beat.start()
    try:
        yield
    except BaseException as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        state = JobState(classify(error), reason)
        raise
    finally:
        ended.set()
        beat.join()
        if state:
            write_json(file, state._asdict())
        else:
            file.unlink(missing_ok=True)


def classify(error: BaseException) -> str:
    """The state that an exception leaves a job in."""
    if isinstance(error, DivergedError):
        return "diverged"
    # PyTorch's own cannot be named here: importing it takes seconds.
    if isinstance(error, MemoryError | OutOfMemoryError) or "OutOfMemory" in type(error).__name__:
        return "out of memory"
    if isinstance(error, Unfinished) and "time budget" in str(error):
        return "out of time"
    return "missing" if isinstance(error, Unfinished | KeyboardInterrupt) else "failed"
