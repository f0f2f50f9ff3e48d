#!/usr/bin/env python
"""Train one run of a config: weights, history.csv and run.json.

Interrupted, it goes on where it was when it is called again.
"""

from pathlib import Path

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.errors import Unfinished


def main(args) -> None:
    """Train ``args.run`` and write everything at the end, ``run.json`` last."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    # Imported only now: a mistake in the config is told at once.
    from dmlbench.training.session import LeaveNow, train_run

    try:
        train_run(plan, run, args.checkpoints, args.checkpoint_every, args.time_budget, args.wait)
    except LeaveNow as reason:
        raise Unfinished(f"{reason}; the training is saved and goes on when run again") from None


def minutes(text: str) -> float | None:
    """A number of minutes; nothing means no limit."""
    return float(text) if text else None


if __name__ == "__main__":
    parser = cli.run_parser(__doc__)
    parser.add_argument("--checkpoints", type=Path, help="folder of the run's checkpoint")
    parser.add_argument(
        "--checkpoint-every", type=float, help="seconds between two of them, else the config's"
    )
    parser.add_argument(
        "--time-budget", type=minutes, help="minutes after which it saves and leaves with code 75"
    )
    parser.add_argument(
        "--wait", type=float, default=90.0, help="seconds to wait for another process's training"
    )
    cli.run(main, parser, log_mode="a")
