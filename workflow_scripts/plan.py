#!/usr/bin/env python
"""What a config plans: what it will take, and how far it is."""

import json
from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd

from dmlbench import cli, paths
from dmlbench.checking.results import LEARNT_NOTHING, MISSING, OK, LedgerEntry, ledger
from dmlbench.config import Plan, Run, load_config
from dmlbench.training.run_lock import holder_of
from dmlbench.workflow.estimate import (
    Cost,
    epoch_images,
    finished_trainings,
    run_bytes,
    training_cost,
)
from dmlbench.workflow.job_records import RUNNING
from dmlbench.workflow.snakemake_jobs import planned_jobs

MOST = 20  #: reasons beyond this many are counted: the ledger has them all


def estimate(args) -> None:
    """Say what a config will take before it runs: jobs, hours of training, disk."""
    plan = load_config(args.config)
    jobs = planned_jobs("all", "--snakefile", args.snakefile, "--configfile", args.config)
    each = ", ".join(f"{count} {rule}" for rule, count in jobs.items())
    print(f"jobs: {sum(jobs.values())} to run" + (f" ({each})" if each else ""))
    # A clone that holds committed records has no weights, and trains anew.
    weights, runs = paths.model(plan.benchmark.selections[0]), plan.runs.values()
    measured = {entry.run for entry in ledger(plan) if entry.state in (OK, LEARNT_NOTHING)}
    left = [run not in measured or not (plan.run_folder(run) / weights).is_file() for run in runs]
    print(f"trainings: {len(runs)}, {sum(left)} of them to do")
    past = finished_trainings(Path(paths.results(plan.benchmark.name)).parent)
    costs = [training_cost(past, plan.spec(r), partial(epoch_images, plan, r)) for r in runs]
    table = pd.DataFrame(costs, columns=Cost._fields).assign(left=left)
    for (basis, device), some in table.groupby(["basis", "device"]):
        hours = some["seconds"] / 3600
        todo = hours[some["left"]].sum()
        how = f"{basis} ({device})" if device else basis
        print(f"time: {hours.sum():.3g} hours of {len(some)} trainings, {todo:.3g} to do; {how}")
    one = {(run.dataset, run.recipe): run for run in runs}
    each = {key: run_bytes(plan, run, parameters(plan, run)) for key, run in one.items()}
    total = sum(each[run.dataset, run.recipe] for run in runs)
    print(f"disk: {total / 1e9:.3g} GB of weights, checkpoints and embeddings")


def parameters(plan: Plan, run: Run) -> int:
    """The weights of a run's network, built without memory for them."""
    import torch

    from dmlbench.models.embedder import Embedder
    from dmlbench.plugins.timm_names import usual_size

    recipe = plan.recipes[run.recipe]
    usual = 32 if recipe["backbone"] == "small_cnn" else usual_size(recipe["backbone"])
    with torch.device("meta"):
        model = Embedder({**recipe, "weights": "none"}, 3, recipe["image_size"] or usual)
    return sum(tensor.numel() for tensor in model.state_dict().values())


def status(args) -> None:
    """Say how far a config is: runs of each state, why some failed, and where their logs are."""
    plan = load_config(args.config)
    entries = {entry.run: with_lock(plan, entry) for entry in ledger(plan)}
    width = max(len(name) for name in [*plan.benchmark.experiments, "experiment"])
    print(f"{'experiment':{width}}  done  running  failed  missing  of")
    for name in plan.benchmark.experiments:
        runs = dict.fromkeys([*plan.experiment_runs(name), *plan.controls[name].values()])
        states = [entries[run].state for run in runs]
        done, running, missing = (states.count(state) for state in (OK, RUNNING, MISSING))
        failed = len(states) - done - running - missing
        print(f"{name:{width}}  {done:4}  {running:7}  {failed:6}  {missing:7}  {len(states)}")
    for line in left_out(plan, [run for run, entry in entries.items() if entry.state == OK]):
        print(line)
    told = [c for c in entries.values() if c.state not in (OK, MISSING)]
    told.sort(key=lambda entry: entry.state == RUNNING)
    for entry in told[:MOST]:
        reason = f": {entry.reason}" if entry.reason else ""
        log = f"; log: {entry.log}" if entry.log else ""
        print(f"{entry.run.id} {entry.state}{reason}{log}")
    if len(told) > MOST:
        print(f"and {len(told) - MOST} more")
    notes = Counter((entry.run.dataset, entry.note) for entry in entries.values() if entry.note)
    for (dataset, note), number in notes.most_common(MOST):
        print(f"{dataset}, {number} run{'s' * (number > 1)}: {note}")
    if len(notes) > MOST:
        print(f"and {len(notes) - MOST} more such notes")


def left_out(plan: Plan, runs: list[Run]) -> list[str]:
    """Lines on images that measured ``runs`` did not use, and on cells that stay empty, and why."""
    lines: Counter[str] = Counter()
    for run in runs:
        try:
            measured = json.loads((plan.run_folder(run) / paths.METRICS_FILE).read_text("utf-8"))
            for part in measured["parts"]:
                where = f"{run.dataset} {part['split']} {part['label']}"
                if part.get("unmatched"):
                    lines[f"{where}: {part['unmatched']} queries have no match in the gallery"] += 1
            dropped = measured.get("duplicates", {}).get("left_out", {})
            for part, (queries, gallery) in dropped.items():
                if plan.benchmark.evaluation.exclude_duplicates and (queries or gallery):
                    many = f"{queries} queries and {gallery} images of the gallery"
                    lines[f"{run.dataset} {part}: {many} left out, training has the images"] += 1
            for row in measured["metrics"]:
                if row["value"] is None:
                    where = f"{run.dataset} {row['split']} {row['label']} {row['selection']}"
                    k = f"@{row['k']}" if row["k"] else ""
                    why = row["note"] or "no reason is stored"
                    lines[f"{where}: no {row['metric']}{k}: {why}"] += 1
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            kind = type(error).__name__
            lines[f"{run.id}: {paths.METRICS_FILE} is damaged ({kind}); measure it again"] += 1
    return [f"{line} ({count} runs)" if count > 1 else line for line, count in lines.items()]


def with_lock(plan: Plan, entry: LedgerEntry) -> LedgerEntry:
    """A run that somebody trains without a log, by hand, is known by its lock."""
    holder = holder_of(plan.checkpoint_folder(entry.run) / paths.LOCK_FILE)
    if entry.state != MISSING or holder is None:
        return entry
    return LedgerEntry(entry.run, RUNNING, f"on {holder['host']}, process {holder['pid']}", "train")


if __name__ == "__main__":
    steps = cli.Steps(__doc__)
    step = steps.add(estimate)
    step.add_argument("--snakefile", type=Path, default=Path("Snakefile"), help="the workflow")
    steps.add(status)
    steps.run()
