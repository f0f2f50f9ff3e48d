#!/usr/bin/env python
"""Say what a config will take before it runs: jobs, hours of training, disk."""

from pathlib import Path

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
    costs = {
        run: history.cost(plan.spec(run), lambda run=run: epoch_images(plan, run))
        for run in plan.runs.values()
    }
    left = [cost for run, cost in costs.items() if run not in done]
    print(f"trainings: {len(costs)}, {len(left)} of them to do")
    print_time(plan, list(costs.values()), left)
    print_disk(plan)


def print_time(plan: Plan, costs: list[Cost], left: list[Cost]) -> None:
    """Hours of training, all and left, and how they are known; those on GPUs apart."""

    def hours(cost: Cost) -> str:
        on_gpu = plan.benchmark.resources.train.gpu and "cpu" not in cost.device
        return "GPU-hours" if on_gpu else "hours"

    for unit in sorted({hours(cost) for cost in costs}):
        both = [sum(c.seconds for c in some if hours(c) == unit) / 3600 for some in (costs, left)]
        print(f"time: {both[0]:.3g} {unit} of training in all, {both[1]:.3g} to do")
    known = {cost[1:] for cost in costs}
    for basis, device in sorted(known, key=lambda each: (BASES.index(each[0]), each[1])):
        like = [cost for cost in costs if cost[1:] == (basis, device)]
        on = f" ({device})" if device else ""
        sum_of = sum(cost.seconds for cost in like) / 3600
        print(f"  {len(like)} trainings, {sum_of:.3g} {hours(like[0])}: {basis}{on}")
    if any(cost.basis == BASES[-1] for cost in costs):
        print(f"  {ASSUMED}")


def print_disk(plan: Plan) -> None:
    """What runs and prepared data will hold when all is done."""
    one = {(run.dataset, run.recipe): run for run in plan.runs.values()}
    each = {key: run_bytes(plan, run, parameters(plan, run)) for key, run in one.items()}
    total = sum(each[run.dataset, run.recipe] for run in plan.runs.values())
    print(f"disk: {total / 1e9:.3g} GB of weights, checkpoints and embeddings")
    for dataset, run in {run.dataset: run for run in plan.runs.values()}.items():
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
