#!/usr/bin/env python
"""Write the report's own pages, or Snakemake's own HTML report around all results."""

from pathlib import Path

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.report import snakemake_report, write_pages


def main(args) -> None:
    """Write into ``results/<name>/report/``."""
    plan = load_config(args.config)
    if args.page == "own":
        write_pages(plan)
    else:
        snakemake_report(plan, args.config, args.snakefile)


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    parser.add_argument(
        "--page", choices=["own", "report"], default="report", help="report: after all else"
    )
    parser.add_argument("--snakefile", type=Path, default=Path("Snakefile"), help="the workflow")
    cli.run(main, parser)
