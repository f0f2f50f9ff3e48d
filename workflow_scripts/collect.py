#!/usr/bin/env python
"""Gather metrics and histories of all planned runs into two long tables."""

from pathlib import Path

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.collect import collect


def main(args) -> None:
    """Write the metrics and the history table."""
    collect(load_config(args.config), args.metrics, args.history)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config file")
    parser.add_argument("--metrics", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--history", type=Path, required=True, help="Parquet file to write")
    cli.run(main, parser)
