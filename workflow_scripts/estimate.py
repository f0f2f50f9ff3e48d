#!/usr/bin/env python
"""Say what a config will take before it runs: jobs, hours of training, disk."""

from pathlib import Path

import pandas as pd

from dmlbench import cli, paths
from dmlbench.checking.results import OK, ledger
from dmlbench.config import Plan, Run, load_config
from dmlbench.workflow.estimate import ASSUMED, BASES, Cost, History, epoch_images, run_bytes
from dmlbench.workflow.snakemake_jobs import planned_jobs


def main(args) -> None:
    """Print the estimate; nothing is written or run."""
    plan = load_config(args.config)
    jobs = planned_jobs("all", "--snakefile", args.snakefile, "--configfile", args.config)
    each = ", ".join(f"{count} {rule}" for rule, count in jobs.items())
    print(f"jobs: {sum(jobs.values())} to run" + (f" ({each})" if each else ""))
    # A clone that holds committed records has no weights, and trains anew.
    weights = paths.model(plan.benchmark.selections[0])
    measured = [entry.run for entry in ledger(plan) if entry.state == OK]
    done = {run for run in measured if (plan.run_folder(run) / weights).is_file()}
    history = History(Path(paths.results(plan.benchmark.name)).parent)
    runs = plan.runs.values()
    costs = [history.cost(plan.spec(run), lambda run=run: epoch_images(plan, run)) for run in runs]
    left = [run not in done for run in runs]
    print(f"trainings: {len(runs)}, {sum(left)} of them to do")
    print_time(plan, pd.DataFrame(costs, columns=Cost._fields).assign(left=left))
    print_disk(plan)


def print_time(plan: Plan, costs: pd.DataFrame) -> None:
    """Hours of training, all and left, and how they are known; those on GPUs apart."""
    on_gpu = bool(plan.benchmark.resources.train.gpu) & ~costs["device"].str.contains("cpu")
    costs = costs.assign(
        hours=costs["seconds"] / 3600, unit=on_gpu.map({True: "GPU-hours", False: "hours"})
    )
    for unit, some in costs.groupby("unit"):
        left = some["hours"][some["left"]].sum()
        print(f"time: {some['hours'].sum():.3g} {unit} of training in all, {left:.3g} to do")
    for basis in BASES:
        for device, some in costs[costs["basis"] == basis].groupby("device"):
            on = f" ({device})" if device else ""
            amount = f"{some['hours'].sum():.3g} {some['unit'].iloc[0]}"
            print(f"  {len(some)} trainings, {amount}: {basis}{on}")
    if (costs["basis"] == BASES[-1]).any():
        print(f"  {ASSUMED}")


def print_disk(plan: Plan) -> None:
    """What runs and prepared data will hold when all is done."""
    one = {(run.dataset, run.recipe): run for run in plan.runs.values()}
    each = {key: run_bytes(plan, run, parameters(plan, run)) for key, run in one.items()}
    total = sum(each[run.dataset, run.recipe] for run in plan.runs.values())
    print(f"disk: {total / 1e9:.3g} GB of weights, checkpoints and embeddings")
    for folder in sorted({plan.data_folder(run) for run in plan.runs.values()}):
        pixels = folder / paths.PIXELS_FILE
        size = f"{pixels.stat().st_size / 1e9:.3g} GB" if pixels.is_file() else "not prepared yet"
        print(f"  on top: the pixels in {folder} ({size})")


def parameters(plan: Plan, run: Run) -> int:
    """The weights of a run's network, built without memory for them."""
    import torch

    from dmlbench.models.embedder import Embedder

    recipe = plan.recipes[run.recipe]
    with torch.device("meta"):
        model = Embedder({**recipe, "weights": "none"}, 3, recipe["image_size"] or 32)
    return sum(tensor.numel() for tensor in model.state_dict().values())


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    parser.add_argument("--snakefile", type=Path, default=Path("Snakefile"), help="the workflow")
    cli.run(main, parser)
