"""Several runs in one job: which share one, and how finished ones outlive a job that fails.

Snakemake deletes all outputs of a job that fails. So each run that such a job has trained also
gets second names (hard links) beside its checkpoint, which Snakemake does not know; whoever comes
next puts its files back.
"""

import json
import math
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.files import write_json
from dmlbench.workflow.job_records import vouches
from dmlbench.workflow.provenance import training_code


def make_bundles(plan: Plan, runs: Iterable[Run], size: int) -> list[list[Run]]:
    """Parts of ``runs`` with at most ``size`` in each; those of one have one prepared dataset."""
    by_data: dict[Path, list[Run]] = {}
    for run in runs:
        by_data.setdefault(plan.data_folder(run), []).append(run)
    found = []
    for some in by_data.values():
        # As even as can be: the last one would otherwise be small.
        each = math.ceil(len(some) / math.ceil(len(some) / size))
        found += [some[i : i + each] for i in range(0, len(some), each)]
    return found


def write_bundles(file: Path, bundles: dict[str, list[list[Run]]]) -> None:
    """Write the bundles of each step, for jobs: what is finished changes while they run."""
    write_json(file, {s: [[run.id for run in b] for b in some] for s, some in bundles.items()})


def read_bundles(file: Path, plan: Plan) -> dict[str, list[list[Run]]]:
    """What :func:`write_bundles` wrote."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    return {s: [[plan.run_by_id(i) for i in b] for b in some] for s, some in stored.items()}


def output_names(selections: Iterable[str]) -> list[str]:
    """The files that a training leaves beside ``run.json``."""
    return [*map(paths.model, selections), paths.HISTORY_FILE]


def is_finished(plan: Plan, run: Run, folder: Path | None = None) -> bool:
    """Whether all outputs of a training are in ``folder``, or in its own, as ``run.json`` says."""
    folder = folder or plan.run_folder(run)
    names = ("run.json", *output_names(plan.selections(run)))
    if not all((folder / name).is_file() for name in names):
        return False
    code = training_code(run.dataset, plan.sources(run))
    return all(vouches(folder / name, plan.fingerprint(run), code) for name in names)


def keep(plan: Plan, run: Run) -> None:
    """Give the files of a finished run their second names."""
    forget(plan, run)
    _give_names(plan, run, plan.run_folder(run), _kept(plan, run))


def put_back(plan: Plan, run: Run) -> bool:
    """Put a kept run's files back to where they belong; whether the run is kept and finished."""
    kept = _kept(plan, run)
    if not kept.is_dir():
        return False
    if is_finished(plan, run):
        return True
    if not is_finished(plan, run, kept):  # of another config or code
        return False
    _give_names(plan, run, kept, plan.run_folder(run))
    return True


def forget(plan: Plan, run: Run) -> None:
    """Remove the second names of a run's files."""
    with suppress(FileNotFoundError):
        shutil.rmtree(_kept(plan, run))


def _kept(plan: Plan, run: Run) -> Path:
    return plan.checkpoint_folder(run) / paths.KEPT_FOLDER


def _give_names(plan: Plan, run: Run, source: Path, target: Path) -> None:
    """Link the files of a run into another folder; ``run.json``, without which they are none, last.

    They are copied where the two are not on one disk.
    """
    target.mkdir(parents=True, exist_ok=True)
    (target / "run.json").unlink(missing_ok=True)
    for name in (*output_names(plan.selections(run)), "run.json"):
        (target / name).unlink(missing_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copy2(source / name, target / name)
