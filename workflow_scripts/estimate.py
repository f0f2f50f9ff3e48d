#!/usr/bin/env python
"""Say what a config will take before it runs: jobs, hours of training, disk."""

from functools import cache
from pathlib import Path

import pandas as pd

from dmlbench import cli, paths
from dmlbench.checking.ledger import OK, ledger
from dmlbench.config import Plan, Run, load_config
from dmlbench.workflow.estimate import (
    ASSUMED_RATE,
    ASSUMED_SIZE,
    BASES,
    Cost,
    History,
    epoch_images,
    images_of_split,
    run_bytes,
)
from dmlbench.workflow.snakemake_jobs import planned_jobs


def main(args) -> None:
    """Print the estimate; nothing is written or run."""
    plan = load_config(args.config)
    jobs = planned_jobs("all", "--snakefile", args.snakefile, "--configfile", args.config)
    each = ", ".join(f"{count} {rule}" for rule, count in jobs.items())
    print(f"jobs: {sum(jobs.values())} to run" + (f" ({each})" if each else ""))
    done = {
        entry.run for entry in ledger(plan) if entry.state == OK and has_weights(plan, entry.run)
    }
    history = History(Path(paths.results(plan.benchmark.name)).parent)
    costs = {
        run: history.cost(plan.spec(run), lambda run=run: epoch_images(images_of_split(plan, run)))
        for run in plan.runs.values()
    }
    left = [cost for run, cost in costs.items() if run not in done]
    print(f"trainings: {len(costs)}, {len(left)} of them to do")
    print_time(plan, list(costs.values()), left)
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
    table = pd.DataFrame([vars(cost) for cost in costs])
    groups = table.groupby(["basis", "device"])["seconds"]
    for (basis, device), seconds in sorted(groups, key=lambda group: BASES.index(group[0][0])):
        on = f" ({device})" if device else ""
        print(f"  {len(seconds)} trainings, {seconds.sum() / 3600:.3g} {unit(device)}: {basis}{on}")
    if BASES[-1] in set(table["basis"]):
        print(
            f"  assumed are {ASSUMED_RATE:g} images of {ASSUMED_SIZE} x {ASSUMED_SIZE} pixels a "
            "second, in proportion for other sizes: about a ResNet-50 on a current GPU. One "
            "finished training of a network makes this a measurement"
        )


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
