#!/usr/bin/env python
"""Train one run of a config: weights, history.csv and run.json.

Interrupted, it goes on where it was when it is called again.
"""

import math

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.errors import LeaveNow, Unfinished
from dmlbench.training.stopping import Stopping


def main(args) -> None:
    """Train ``args.run`` and write everything at the end, ``run.json`` last."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run, trained=True)
    stopping = Stopping(args.time_budget)
    try:
        with stopping.listening():
            # Imported only now: a mistake in the config is told at once, and a signal is heard.
            from dmlbench.training.session import train_run

            stopping.check()
            train_run(plan, run, every=args.checkpoint_every, stopping=stopping, wait=args.wait)
    except LeaveNow as reason:
        raise Unfinished(f"{reason}; what was trained is saved, run again to go on") from None


def duration(text: str) -> float | None:
    """A length of time; nothing means no limit."""
    value = float(text) if text else None
    if value is not None and not 0 < value < math.inf:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    parser = cli.run_parser(__doc__)
    parser.add_argument(
        "--checkpoint-every", type=duration, help="seconds between two of them, else the config's"
    )
    parser.add_argument(
        "--time-budget", type=duration, help="minutes after which it saves and leaves with code 75"
    )
    parser.add_argument(
        "--wait", type=duration, default=90.0, help="seconds to wait for another process's training"
    )
    cli.run(main, parser, log_mode="a")
