"""What jobs leave of themselves: their state, for ``make status``, and ``run.json`` of a training.

A state is there while a job runs and after it has failed, also where it was killed. What jobs wrote
is known again by hashes: a training's files by its ``run.json``, this and ``metrics.json`` by their
seals.
"""

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from dmlbench.errors import DataError, DivergedError, OutOfMemoryError, Unfinished
from dmlbench.files import checksum_of, write_json
from dmlbench.paths import METRICS_FILE
from dmlbench.records import read_json

log = logging.getLogger(__name__)

#: Seconds between two touches of a running job's file, and after how many without one it is dead.
BEAT, DEAD = 20.0, 120.0
RUNNING = "running"
#: How far numbers of float32 are apart, as a share of them.
SINGLE = 2.0**-23
STOOD_STILL = "the weights have not moved"
#: What to do about a file of a training, and about ``metrics.json``.
TRAIN_AGAIN = "delete its run.json and train it again"
MEASURE_AGAIN = "delete its metrics.json and evaluate it again"
KILLED = "killed: by the system for its memory, with its node, or by hand; see the log"


_STATES = Literal["running", "diverged", "out of memory", "out of time", "missing", "failed"]
_STATE_FORM = TypeAdapter(TypedDict("_State", {"state": _STATES, "reason": str}))
_IMAGES = {"images": int, "never_drawn": NotRequired[int], "without_positive": NotRequired[int]}
#: What every reader of a ``run.json`` may count on, of any version of the benchmark.
RECORD = {
    "run": TypedDict("_Spec", {"recipe": dict[str, Any], "threads": int}),
    "fingerprint": str,
    "data": str,
    "selected_epochs": dict[str, int],
    "outputs": NotRequired[dict[str, str]],
    "images": NotRequired[TypedDict("_Images", _IMAGES)],
}
_RECORD_FORM = TypeAdapter(TypedDict("_Record", RECORD))
_EMBEDDINGS_FORM = TypeAdapter(
    TypedDict("_Embeddings", {"embeddings": NotRequired[dict[str, str]]})
)


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
        said = JobState(**_stated(file))
        # A touch of the future is of a clock that was set back since: no living job has left it.
        age = abs(time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        return None
    return JobState("failed", KILLED) if said.state == RUNNING and age > DEAD else said


def _stated(file: Path) -> dict[str, str]:
    """State and reason by the file; those of a damaged one say so."""
    try:
        said = read_json(file, "delete it, and run again", _STATE_FORM)
    except DataError as error:
        said = {"state": "failed", "reason": str(error)}
    return {key: said[key] for key in JobState._fields}


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
        record = read_json(folder / "run.json", TRAIN_AGAIN, _RECORD_FORM)
    except FileNotFoundError:
        raise DataError(f"{folder}: no run.json; this run has not finished training") from None
    except DataError as error:
        raise DamagedRecordError(str(error)) from None
    if record["fingerprint"] != fingerprint:
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


def other_embeddings(folder: Path) -> list[str]:
    """The files of embeddings in a run's folder that are not those its metrics were measured on.

    Metrics of before benchmark version 1.1 do not name theirs. Damaged ones name none either, and
    are measured anew: the embeddings themselves say whose they are.
    """
    try:
        metrics = read_json(folder / METRICS_FILE, "it is measured anew", _EMBEDDINGS_FORM)
    except DataError as error:
        log.warning("%s", error)
        return []
    named = metrics.get("embeddings", {}).items()
    here = [(name, digest) for name, digest in named if (folder / name).exists()]
    return [name for name, digest in here if checksum_of(folder / name) != digest]
