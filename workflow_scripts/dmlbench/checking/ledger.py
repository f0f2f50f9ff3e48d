"""The ledger: what became of every run that a config plans."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.files import replacing
from dmlbench.workflow.job_records import RUNNING, DamagedRecordError, read_record, read_state

OK, MISSING = "ok", "missing"
#: Every run has one of these.
STATES = (OK, RUNNING, "diverged", "out of memory", "out of time", "failed", MISSING)
#: The steps of a run, in their order.
STEPS = ("train", "embed", "embed_pairs", "control", "control_pairs", "evaluate")


@dataclass(frozen=True)
class LedgerEntry:
    """One planned run.

    Attributes:
        state: One of :data:`STATES`; ok: it is trained as the config says, and measured.
        reason: Why it is not ok, in one line.
        step, log: Where it stopped, and the log of that step; empty where that is not known.
    """

    run: Run
    state: str
    reason: str = ""
    step: str = ""
    log: str = ""


def ledger(plan: Plan, results: Path | None = None) -> list[LedgerEntry]:
    """The state of every planned run, in the config's order.

    ``results`` is the folder of its results; None where the workflow keeps them.
    """
    results = results or Path(paths.results(plan.benchmark.name))
    return [_entry(plan, results, run) for run in plan.all_runs.values()]


def _entry(plan: Plan, results: Path, run: Run) -> LedgerEntry:
    folder = paths.run_in(results, run.id)
    reason = "not run yet"
    if (folder / "run.json").is_file():
        try:
            read_record(folder, plan.fingerprint(run))
            if (folder / paths.METRICS_FILE).is_file():
                return LedgerEntry(run, OK)
            reason = "trained, not measured yet"
        except DamagedRecordError as error:
            return LedgerEntry(run, "failed", str(error), "train")
        except DataError:
            reason = "trained with other settings than the config's"
    for step in STEPS:
        log = paths.log_in(results, step, run.id)
        if state := read_state(log):
            return LedgerEntry(run, state.state, state.reason, step, str(log))
    return LedgerEntry(run, MISSING, reason)


def as_table(entries: Iterable[LedgerEntry]) -> pd.DataFrame:
    """One row for each run: its names, state, reason, step and log."""
    columns = ["run", *Run.__dataclass_fields__, "state", "reason", "step", "log"]
    rows = [{**vars(c.run), **vars(c), "run": c.run.id} for c in entries]
    return pd.DataFrame(rows, columns=columns)


def write_ledger(entries: Iterable[LedgerEntry], path: Path) -> None:
    """Write the ledger as CSV."""
    with replacing(path) as temporary:
        as_table(entries).to_csv(temporary, index=False)
