#!/usr/bin/env python
"""Make all results of a config with Snakemake, data first: what `dvc repro` runs."""

import os
import subprocess
import sys

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.workflow.dvc_archives import keep_archives, pull_archives
from dmlbench.workflow.snakemake_jobs import planned_jobs


def main(args) -> None:
    """Let Snakemake say what is to be done, and do it."""
    plan = load_config(args.config)
    configfile = ["--configfile", str(args.config)]
    snakemake = [sys.executable, "-m", "snakemake", *configfile, "--profile", args.profile]
    archives = [file for name in plan.datasets for file in plan.raw_archives(name)]
    jobs = planned_jobs("all", *configfile)
    if "download" in jobs:
        pull_archives(archives)
    if "prepare" in jobs:
        run([*snakemake, "datasets"])
    run([*snakemake, "all"])
    keep_archives(archives)


def run(command: list[str]) -> None:
    """Run a command; leave with its code where it fails, as it has said why."""
    if code := subprocess.run(command).returncode:
        sys.exit(code)


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    parser.add_argument(
        "--profile",
        default=os.environ.get("SNAKEMAKE_PROFILE", "local"),
        help="of Snakemake, such as local or slurm; the variable SNAKEMAKE_PROFILE sets it too",
    )
    cli.run(main, parser)
