#!/usr/bin/env python
"""What a config plans: what it will take, how far it is, and how many seeds it needs."""

import math
from functools import partial
from pathlib import Path

import pandas as pd

from dmlbench import cli, paths
from dmlbench.checking.ledger import LEARNT_NOTHING, MISSING, OK, LedgerEntry, ledger
from dmlbench.checking.results import Results
from dmlbench.config import Plan, Run, load_config
from dmlbench.errors import DataError
from dmlbench.reporting.power import DIFFERENCES, of_results, seeds_for
from dmlbench.reporting.status import breaches, left_out, not_made, reasons
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
    """Say how far a config is: runs of each state, and all that is missing, with the reason."""
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
    measured = [run for run, entry in entries.items() if entry.state == OK]
    for line in [
        *left_out(plan, measured),
        *reasons(entries.values()),
        *breaches(plan),
        *not_made(plan, whole=len(measured) == len(entries)),
    ]:
        print(line)


def power(args) -> None:
    """Say how many seeds show a difference of 0.5, 1 and 2 points with 80% power at p < 0.05.

    By a paired t-test, and by the spread that the seeds of finished runs have, or ``--spread``.
    """
    plan = load_config(args.config)
    rows = [{"spread": args.spread}] if args.spread else list(of_results(Results.read(plan)))
    if not rows:
        raise DataError(
            f"{paths.results(plan.benchmark.name)}: no two methods of an experiment have finished "
            "with two seeds; run some, or state the spread in points: --spread 0.8"
        )
    for row in rows:
        for difference in DIFFERENCES:
            seeds = seeds_for(difference, row["spread"])
            if "upper" in row:
                seeds += f" (up to {seeds_for(difference, row['upper'])})"
            row[f"{difference:g} points"] = seeds
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".2f"))
    print(
        "Seeds that show a difference of so many points of Recall@1 (paired t-test, p < 0.05, 80% "
        "power). spread: standard deviation of paired differences over seeds, pooled over all "
        "pairs of methods; upper: its upper 95% bound, by which the numbers in brackets go."
    )


def with_lock(plan: Plan, entry: LedgerEntry) -> LedgerEntry:
    """A run that somebody trains without a log, by hand, is known by its lock."""
    holder = holder_of(plan.checkpoint_folder(entry.run) / paths.LOCK_FILE)
    if entry.state != MISSING or holder is None:
        return entry
    return LedgerEntry(entry.run, RUNNING, f"on {holder['host']}, process {holder['pid']}", "train")


def positive(text: str) -> float:
    """A number of points above zero."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    steps = cli.Steps(__doc__)
    step = steps.add(estimate)
    step.add_argument("--snakefile", type=Path, default=Path("Snakefile"), help="the workflow")
    steps.add(status)
    step = steps.add(power)
    step.add_argument("--spread", type=positive, help="in points, instead of that of results")
    steps.run()
