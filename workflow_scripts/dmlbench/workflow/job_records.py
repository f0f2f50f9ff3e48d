"""What jobs leave of themselves: their state, for ``make status``, and ``run.json`` of a training.

A state is there while a job runs and after it has failed, also where it was killed. What jobs wrote
is known again by hashes: a training's files by its ``run.json``, ``metrics.json`` by its seal.
"""

import hashlib
import json
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dmlbench.errors import DataError, DivergedError, OutOfMemoryError, Unfinished
from dmlbench.files import checksum_of, naming, write_json
from dmlbench.paths import METRICS_FILE

log = logging.getLogger(__name__)

#: Seconds between two touches of a running job's file, and after how many without one it is dead.
BEAT, DEAD = 20.0, 120.0
RUNNING = "running"
#: The key of a sealed file that holds the hash of all its others.
SEAL = "seal"
#: How far numbers of float32 are apart, as a share of them.
SINGLE = 2.0**-23
STOOD_STILL = "the weights have not moved"
KILLED = "killed: by the system for its memory, with its node, or by hand; see the log"


class DamagedRecordError(DataError):
    """A ``run.json`` that is none."""


class JobState(NamedTuple):
    """A job that runs or did not end well, and why in one line.

    The states are running, diverged, out of memory, out of time, failed; and missing, of one that
    was interrupted and goes on when it is started again.
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
        said = JobState(**json.loads(file.read_text(encoding="utf-8")))
        # A touch of the future is of a clock that was set back since: no living job has left it.
        age = abs(time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        return None
    return JobState("failed", KILLED) if said.state == RUNNING and age > DEAD else said


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
            try:
                file.touch()
            except OSError as error:  # a shared disk that is away for a while
                told = "%s cannot be touched (%s); trying again"
                log.warning(told, file, error)

    beat = threading.Thread(target=touch, daemon=True)
    try:
        beat.start()
        yield
    except BaseException as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        state = JobState(_state_after(error), reason)
        raise
    finally:
        ended.set()
        if beat.is_alive():
            beat.join()
        if state:
            try:
                write_json(file, state._asdict())
            except OSError as error:  # a full disk must not hide why the job ended
                log.warning("%s: cannot be written (%s)", file, error.strerror)
        else:
            file.unlink(missing_ok=True)


def _state_after(error: BaseException) -> str:
    if isinstance(error, DivergedError):
        return "diverged"
    # PyTorch's own cannot be named here: importing it takes seconds.
    if isinstance(error, MemoryError | OutOfMemoryError) or "OutOfMemory" in type(error).__name__:
        return "out of memory"
    if isinstance(error, Unfinished) and "time budget" in str(error):
        return "out of time"
    return "missing" if isinstance(error, Unfinished | KeyboardInterrupt) else "failed"


def learnt_nothing(history: list[dict]) -> str:
    """Why the epochs of a ``history.csv`` taught nothing; empty where some step did."""
    active = [row.get("active_tuples", math.nan) for row in history]
    counted = [number for number in active if not math.isnan(number)]
    if counted and not any(counted):
        return "no tuple was active in any step"
    if history and not any(row["loss"] for row in history):
        return "the loss was 0 in every step"
    return ""


def not_moved(share: float | None) -> str:
    """That a training left its weights where they were; empty where it did not.

    ``share`` is how far they moved, as a share of their length; None where nobody noted it.
    """
    return STOOD_STILL if share is not None and share < SINGLE else ""


def read_record(folder: Path, fingerprint: str) -> dict:
    """The ``run.json`` of a finished run.

    Raises:
        DataError: There is none, it is damaged (:class:`DamagedRecordError`), or the run was
            trained with other settings than ``fingerprint``.
    """
    try:
        with naming(folder / "run.json"):
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        trained_as = record["fingerprint"]
    except FileNotFoundError:
        raise DataError(f"{folder}: no run.json; this run has not finished training") from None
    except (ValueError, KeyError, TypeError):
        raise DamagedRecordError(
            f"{folder}/run.json is damaged; delete it, and train the run again"
        ) from None
    if trained_as != fingerprint:
        raise DataError(f"{folder}: was trained with other settings than the config's; train again")
    return record


def vouches(file: Path, fingerprint: str, code: str) -> bool:
    """Whether the ``run.json`` beside ``file`` says that a training with these made it."""
    try:
        record = read_record(file.parent, fingerprint)
    except DataError:  # none, of another config, or damaged
        return False
    if record.get("code") != code:
        return False
    return file.name == "run.json" or record.get("outputs", {}).get(file.name) == checksum_of(file)


def sealed(content: dict) -> dict:
    """``content`` for a JSON file, with the hash of all that is in it: its seal.

    It tells a file that was altered by hand. It is no proof against somebody who knows it.
    """
    return content | {SEAL: _hash_of(content)}


def is_sealed(content: dict) -> bool:
    """Whether the content of a JSON file is what :func:`sealed` made."""
    return content.get(SEAL) == _hash_of({k: v for k, v in content.items() if k != SEAL})


def other_embeddings(folder: Path) -> list[str]:
    """The files of embeddings in a run's folder that are not those its metrics were measured on.

    Metrics of before benchmark version 1.1 do not name theirs. A DataError where they are damaged.
    """
    file = folder / METRICS_FILE
    try:
        with naming(file):
            named = json.loads(file.read_text(encoding="utf-8")).get("embeddings", {}).items()
    except (ValueError, AttributeError):
        raise DataError(
            f"{file}: damaged, so that it does not say which embeddings it was measured on; delete "
            "it, and have it made by the target `all`"
        ) from None
    here = [(name, digest) for name, digest in named if (folder / name).exists()]
    return [name for name, digest in here if checksum_of(folder / name) != digest]


def _hash_of(content: dict) -> str:
    # As it is read back: keys that are numbers are texts then, and sorted as such.
    as_read = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()
