#!/usr/bin/env python
"""Make the table of one experiment: LaTeX, CSV and Markdown."""

from pathlib import Path

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.tables import write_tables


def main(args) -> None:
    """Write ``<out>/<experiment>.tex``, ``.csv`` and ``.md``."""
    write_tables(load_config(args.config), args.experiment, args.metrics, args.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config file")
    parser.add_argument("--experiment", required=True, help="an experiment of the config")
    parser.add_argument("--metrics", type=Path, required=True, help="collected metrics")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    cli.run(main, parser)
