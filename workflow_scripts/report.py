#!/usr/bin/env python
"""Write the summary page, then Snakemake's own HTML report around it."""

from pathlib import Path

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.reporting.report import snakemake_report, write_summary


def main(args) -> None:
    """Write ``--summary``; with ``--report`` also the report."""
    plan = load_config(args.config)
    if args.report:
        snakemake_report(args.snakefile, args.config, args.report)
    else:
        write_summary(plan, args.summary)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="config file")
    parser.add_argument("--summary", type=Path, help="summary page to write")
    parser.add_argument("--report", type=Path, help="HTML report to write, after all else")
    parser.add_argument("--snakefile", type=Path, default=Path("Snakefile"), help="the workflow")
    cli.run(main, parser)
