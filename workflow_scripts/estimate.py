#!/usr/bin/env python
"""Say what a config will take before it runs: jobs, hours of training, disk."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from dmlbench import cli, paths
from dmlbench.checking.ledger import OK, ledger
from dmlbench.config import Plan, Run, load_config
from dmlbench.errors import UserError
from dmlbench.reporting.estimate import (
    ASSUMED_RATE,
    ASSUMED_SIZE,
    BASES,
    Cost,
    History,
    epoch_images,
    images_of_split,
    run_bytes,
    total,
)


def main(args) -> None:
    """Print the estimate; nothing is written or run."""
    plan = load_config(args.config)
    print_jobs(args)
    done = {cell.run for cell in ledger(plan) if cell.state == OK and has_weights(plan, cell.run)}
    history = History(Path(paths.results(plan.benchmark.name)).parent)
    costs = {
        run: history.cost(plan.spec(run), lambda run=run: epoch_images(images_of_split(plan, run)))
        for run in plan.runs.values()
    }
    left = [cost for run, cost in costs.items() if run not in done]
    print(f"trainings: {len(costs)}, {len(left)} of them to do")
    print_time(plan, list(costs.values()), left)
    if any(cost.basis == BASES[-1] for cost in costs.values()):
        print(
            f"  assumed are {ASSUMED_RATE:g} images of {ASSUMED_SIZE} x {ASSUMED_SIZE} pixels a "
            "second, in proportion for other sizes: about a ResNet-50 on a current GPU. One "
            "finished training of a network makes this a measurement"
        )
    print_disk(plan)


def has_weights(plan: Plan, run: Run) -> bool:
    """Whether they are here: a clone with committed records trains anew (the rule ``all``)."""
    return (plan.run_folder(run) / paths.model(plan.benchmark.selections[0])).is_file()


def print_time(plan: Plan, costs: list[Cost], left: list[Cost]) -> None:
    """Hours of training, all and left, and how they are known; those on GPUs apart."""

    def unit(device: str) -> str:
        on_gpu = plan.benchmark.resources.train.gpu and "cpu" not in device
        return "GPU-hours" if on_gpu else "hours"

    for each in sorted({unit(cost.device) for cost in costs}):
        hours = [
            sum(c.seconds for c in some if unit(c.device) == each) / 3600 for some in (costs, left)
        ]
        print(f"time: {hours[0]:.3g} {each} of training in all, {hours[1]:.3g} to do")
    for row in total(costs).itertuples():
        device = f" ({row.device})" if row.device else ""
        print(f"  {row.size} trainings, {row.hours:.3g} {unit(row.device)}: {row.basis}{device}")


def print_jobs(args) -> None:
    """How many jobs Snakemake would run now, by rule."""
    command = [sys.executable, "-m", "snakemake", "-n", "-q", "rules", "--nolock", "all"]
    command += ["--snakefile", str(args.snakefile), "--configfile", str(args.config)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"snakemake could not plan this: {lines[-1] if lines else 'no output'}")
    table = done.stdout.partition("Job stats:")[2].partition("\n\n")[0]
    counts = dict(re.findall(r"^(\w+)\s+(\d+)$", table, flags=re.M))
    jobs = counts.pop("total", "0")
    rules = ", ".join(f"{count} {rule}" for rule, count in counts.items())
    print(f"jobs: {jobs} to run" + (f" ({rules})" if rules else ""))


def print_disk(plan: Plan) -> None:
    """What runs and prepared data will hold when all is done."""

    @cache
    def each(dataset: str, recipe: str) -> int:
        run = next(r for r in plan.runs.values() if (r.dataset, r.recipe) == (dataset, recipe))
        return run_bytes(plan, run, images_of_split(plan, run), parameters(plan, run))

    runs = sum(each(run.dataset, run.recipe) for run in plan.runs.values())
    print(f"disk: {runs / 1e9:.3g} GB of weights, checkpoints and embeddings")
    for dataset in plan.datasets:
        run = next(r for r in plan.runs.values() if r.dataset == dataset)
        pixels = plan.data_folder(run) / paths.PIXELS_FILE
        if pixels.is_file():
            print(f"  {dataset}: {pixels.stat().st_size / 1e9:.3g} GB of pixels are there")
        else:
            print(f"  {dataset}: not prepared yet; its pixels come on top")


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
