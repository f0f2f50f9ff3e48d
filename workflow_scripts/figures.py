#!/usr/bin/env python
"""Draw one figure of one experiment, as PDF and PNG."""

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.figures import FIGURES, draw


def main(args) -> None:
    """Draw ``args.kind`` of ``args.experiment`` into ``results/<name>/figures/``."""
    draw(load_config(args.config), args.kind, args.experiment)


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    parser.add_argument("--experiment", required=True, help="an experiment of the config")
    parser.add_argument("--kind", required=True, choices=sorted(FIGURES), help="which figure")
    cli.run(main, parser)
