#!/usr/bin/env python
"""Make the table and the figure of the theory simulation."""

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.theory import write_theory


def main(args) -> None:
    """Write the table (LaTeX, CSV, Markdown) and the figure into ``results/<name>/theory/``."""
    write_theory(load_config(args.config))


if __name__ == "__main__":
    cli.run(main, cli.config_parser(__doc__))
