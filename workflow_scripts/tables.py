#!/usr/bin/env python
"""Make the tables of one experiment, or one over all: LaTeX, CSV and Markdown."""

from dmlbench import cli, paths
from dmlbench.config import load_config
from dmlbench.reporting.overview import write_overview
from dmlbench.reporting.tables import write_tables


def main(args) -> None:
    """Write the files in ``results/<name>/tables/``."""
    plan = load_config(args.config)
    if args.overview:
        write_overview(plan, args.overview)
    else:
        write_tables(plan, args.experiment)


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--experiment", help="an experiment of the config")
    which.add_argument("--overview", choices=paths.OVERVIEWS, help="a table over all experiments")
    cli.run(main, parser)
