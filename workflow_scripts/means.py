#!/usr/bin/env python
"""Write the means of all tables as plain files, which git and DVC compare between commits."""

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.means import write_means


def main(args) -> None:
    """Write ``results/<name>/means/``."""
    write_means(load_config(args.config))


if __name__ == "__main__":
    cli.run(main, cli.config_parser(__doc__))
