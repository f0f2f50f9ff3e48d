#!/usr/bin/env python
"""Train one run of a config: weights, history.csv and run.json. Or several, one after the other.

Interrupted, it goes on where it was when it is called again.
"""

import argparse
import math
from pathlib import Path

from dmlbench import cli, paths
from dmlbench.config import Plan, load_config
from dmlbench.errors import LeaveNow, Unfinished
from dmlbench.training.stopping import Stopping
from dmlbench.workflow.bundles import keep, put_back
from dmlbench.workflow.copies import Copies
from dmlbench.workflow.provenance import training_code


def main(args) -> None:
    """Train ``args.run`` and write everything at the end, ``run.json`` last."""
    plan = load_config(args.config)
    run, *_ = [plan.run_by_id(name, trained=True) for name in args.run]
    stopping = Stopping(args.time_budget)
    try:
        with stopping.listening():
            if len(args.run) > 1:
                train_each(plan, args, stopping)
                return
            put_back(plan, run)
            # Imported only now: a mistake in the config is told at once, and a signal is heard.
            from dmlbench.training.session import train_run

            stopping.check()
            train_run(plan, run, args.checkpoint_every, stopping, args.wait)
    except LeaveNow as reason:
        raise Unfinished(f"{reason}; what was trained is saved, run again to go on") from None


def train_each(plan: Plan, args: argparse.Namespace, stopping: Stopping) -> None:
    """Train ``args.run`` one after the other, each in a copy of this process.

    Those that are finished are kept, whatever becomes of the others.
    """
    copies = Copies(Path(paths.results(plan.benchmark.name)), "train")
    import_first(plan)
    for name in dict.fromkeys(args.run):
        if stopping.due():
            break
        put_back(plan, plan.run_by_id(name))

        def work(log: Path, name: str = name) -> None:
            cli.do_alone(main, args, name, "a", log=log, time_budget=stopping.minutes_left)

        if copies.run(name, work, lambda: stopping.reason) == 0:
            keep(plan, plan.run_by_id(name))
    copies.end(cli.EXIT_UNFINISHED)
    stopping.check()


def import_first(plan: Plan) -> None:
    """Import what all copies need, and look up which code that is; nothing is used."""
    import torch._dynamo  # noqa: F401, every optimiser does, when it is made

    import dmlbench.training.session  # noqa: F401
    from dmlbench.neighbours.faiss_loading import load_faiss

    load_faiss()
    if any(recipe["backbone"] != "small_cnn" for recipe in plan.recipes.values()):
        import timm  # noqa: F401
    for run in plan.runs.values():
        training_code(run.dataset, plan.sources(run))


def duration(text: str) -> float | None:
    """A length of time; nothing means no limit."""
    value = float(text) if text else None
    if value is not None and not 0 < value < math.inf:
        raise ValueError(text)
    return value


def parser() -> argparse.ArgumentParser:
    """What it takes."""
    made = cli.runs_parser(__doc__)
    made.add_argument(
        "--checkpoint-every", type=duration, help="seconds between two of them, else the config's"
    )
    made.add_argument(
        "--time-budget", type=duration, help="minutes after which it saves and leaves with code 75"
    )
    made.add_argument(
        "--wait", type=duration, default=90.0, help="seconds to wait for another process's training"
    )
    return made


if __name__ == "__main__":
    cli.run(main, parser(), log_mode="a")
