#!/usr/bin/env python
"""Compile all tables and figures of a config into one PDF; LaTeX must be installed."""

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.document import write_document


def main(args) -> None:
    """Write ``results/<name>/tables/results.tex`` and ``.pdf``."""
    write_document(load_config(args.config))


if __name__ == "__main__":
    cli.run(main, cli.config_parser(__doc__))
