#!/usr/bin/env python
"""Draw the figures of one experiment, or those over all: PDF, PNG, and their numbers as CSV."""

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.draw_figures import draw, draw_overall
from dmlbench.reporting.figures import figures


def main(args) -> None:
    """Draw into ``results/<name>/figures/``."""
    plan = load_config(args.config)
    if args.overall:
        draw_overall(plan)
    else:
        draw(plan, args.experiment, args.kind)


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--experiment", help="an experiment of the config")
    what.add_argument("--overall", action="store_true", help="what is over several experiments")
    parser.add_argument("--kind", nargs="+", choices=figures(), help="which; none: all it has")
    cli.run(main, parser)
