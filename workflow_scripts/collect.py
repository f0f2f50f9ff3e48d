#!/usr/bin/env python
"""Gather metrics, histories and records of all planned runs into three long tables."""

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.collect import collect


def main(args) -> None:
    """Write ``results/<name>/summary/``."""
    collect(load_config(args.config))


if __name__ == "__main__":
    cli.run(main, cli.config_parser(__doc__))
