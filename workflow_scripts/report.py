#!/usr/bin/env python
"""Write the summary page, or Snakemake's own HTML report around all results."""

from pathlib import Path

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.report import snakemake_report, write_summary


def main(args) -> None:
    """Write one of the two pages in ``results/<name>/report/``."""
    plan = load_config(args.config)
    if args.page == "summary":
        write_summary(plan)
    else:
        snakemake_report(plan, args.config, args.snakefile)


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    parser.add_argument(
        "--page", choices=["summary", "report"], default="report", help="report: after all else"
    )
    parser.add_argument("--snakefile", type=Path, default=Path("Snakefile"), help="the workflow")
    cli.run(main, parser)
