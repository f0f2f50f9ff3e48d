"""What became of every planned run."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.files import naming, replacing
from dmlbench.workflow.job_records import (
    RUNNING,
    TRAIN_AGAIN,
    DamagedRecordError,
    learnt_nothing,
    not_moved,
    read_record,
    read_state,
)

OK, LEARNT_NOTHING, MISSING = "ok", "learnt nothing", "missing"
#: Every run has one of these.
STATES = (
    OK, RUNNING, LEARNT_NOTHING, "diverged", "out of memory", "out of time", "failed", MISSING,
)  # fmt: skip
#: The steps of a run, in their order.
_STEPS = ("train", "embed", "embed_pairs", "control", "control_pairs", "evaluate")


@dataclass(frozen=True)
class LedgerEntry:
    """What became of one planned run."""

    run: Run
    state: str  # one of STATES; ok: it is trained as the config says, and measured
    reason: str = ""  # why it is not ok, in one line
    step: str = ""  # where it stopped; empty where that is not known
    log: str = ""  # of that step
    note: str = ""  # what of its images and tuples its training did not use, in one line


def ledger(plan: Plan, results: Path | None = None) -> list[LedgerEntry]:
    """The state of every planned run, in ``results`` or where the workflow keeps them."""
    results = results or Path(paths.results(plan.benchmark.name))
    return [_entry(plan, results, run) for run in plan.all_runs.values()]


def _entry(plan: Plan, results: Path, run: Run) -> LedgerEntry:
    folder = paths.run_in(results, run.id)
    reason = "not run yet"
    if (folder / "run.json").is_file():
        try:
            record = read_record(folder, plan.fingerprint(run))
            if (folder / paths.METRICS_FILE).is_file():
                entry = _measured(run, folder, record)
                return replace(entry, note="; ".join(filter(None, (unused(record), entry.note))))
            reason = "trained, not measured yet"
        except DamagedRecordError as error:
            return LedgerEntry(run, "failed", str(error), "train")
        except DataError:
            reason = "trained with other settings than the config's"
    for step in _STEPS:
        log = paths.log_in(results, step, run.id)
        if state := read_state(log):
            return LedgerEntry(run, state.state, state.reason, step, str(log))
    return LedgerEntry(run, MISSING, reason)


def _measured(run: Run, folder: Path, record: dict) -> LedgerEntry:
    """The state of a run that was trained and measured."""
    if not run.trained:
        return LedgerEntry(run, OK)
    try:
        history = read_history(folder / paths.HISTORY_FILE)
    except DataError as error:
        return LedgerEntry(run, "failed", str(error), "train")
    if why := learnt_nothing(history.to_dict("records")) or not_moved(record.get("moved")):
        return LedgerEntry(run, LEARNT_NOTHING, why, "train")
    return LedgerEntry(run, OK, note=idle(history))


def idle(history: pd.DataFrame) -> str:
    """In how many epochs no tuple was active; empty where some always was, or none is counted."""
    number = int((history["active_tuples"] == 0).sum()) if "active_tuples" in history else 0
    return f"no active tuple in {number} of {len(history)} epochs" if number else ""


def unused(record: dict) -> str:
    """Which images a run held out or did not train on, by its record; empty where it has none."""
    images = record.get("images") or {}  # controls, and records before 1.1, have none
    told = {"never_drawn": "in no batch of any epoch", "without_positive": "alone in their class"}
    found = [f"{images[key]:,} {words}" for key, words in told.items() if images.get(key)]
    notes = []
    if images.get("held_out"):
        notes.append(f"{images['held_out']:,} images held out for validation")
    if found:
        notes.append(f"of {images['images']:,} training images {' and '.join(found)}")
    return "; ".join(notes)


def as_table(entries: Iterable[LedgerEntry]) -> pd.DataFrame:
    """One row for each run: its names, state, reason, step, log and note."""
    columns = ["run", *Run.__dataclass_fields__, "state", "reason", "step", "log", "note"]
    rows = [{**vars(c.run), **vars(c), "run": c.run.id} for c in entries]
    return pd.DataFrame(rows, columns=columns)


def write_ledger(entries: Iterable[LedgerEntry], path: Path) -> None:
    """Write the ledger as CSV."""
    with replacing(path) as temporary:
        as_table(entries).to_csv(temporary, index=False)


def read_history(file: Path) -> pd.DataFrame:
    """The ``history.csv`` of a training; a DataError where it is none."""
    try:
        with naming(file):
            history = pd.read_csv(file)
    except (FileNotFoundError, ValueError) as error:  # a disk that fails says so itself
        raise DataError(f"{file}: cannot be read ({error}); {TRAIN_AGAIN}") from None
    for column in ("epoch", "steps", "loss"):
        if column not in history or not pd.api.types.is_numeric_dtype(history[column]):
            raise DataError(f"{file}: has no numbers in a column '{column}'; {TRAIN_AGAIN}")
    return history
