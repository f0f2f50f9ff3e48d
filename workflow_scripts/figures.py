#!/usr/bin/env python
"""Draw one figure of one experiment, as PDF and PNG."""

from pathlib import Path

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.figures import FIGURES, draw


def main(args) -> None:
    """Draw ``args.kind`` and save it under both suffixes of ``args.out``."""
    plan = load_config(args.config)
    draw(plan, args.kind, args.experiment, args.history, args.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config file")
    parser.add_argument("--experiment", required=True, help="an experiment of the config")
    parser.add_argument("--kind", required=True, choices=sorted(FIGURES), help="which figure")
    parser.add_argument("--history", type=Path, required=True, help="collected histories")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="files to write")
    cli.run(main, parser)
