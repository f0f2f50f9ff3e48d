#!/usr/bin/env python
"""Make the table of one experiment: LaTeX, CSV and Markdown."""

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.tables import write_tables


def main(args) -> None:
    """Write the experiment's three files in ``results/<name>/tables/``."""
    write_tables(load_config(args.config), args.experiment)


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    parser.add_argument("--experiment", required=True, help="an experiment of the config")
    cli.run(main, parser)
