#!/usr/bin/env python
"""Make all results of a config with Snakemake, data first: what `dvc repro` runs."""

import os
import subprocess
import sys

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.data.sources import raw_archives
from dmlbench.workflow.dvc_archives import keep_archives, pull_archives


def main(args) -> None:
    """Let Snakemake say what is to be done, and do it."""
    plan = load_config(args.config)
    snakemake = [sys.executable, "-m", "snakemake", "--configfile", str(args.config)]
    profile = ["--profile", args.profile]
    archives = [file for name in plan.datasets for file in raw_archives(plan, name)]
    jobs = planned([*snakemake, "-n", "all"])
    if "download" in jobs:
        pull_archives(archives)
    if "prepare" in jobs:
        run([*snakemake, *profile, "datasets"])
    run([*snakemake, *profile, "all"])
    keep_archives(archives)


def planned(command: list[str]) -> set[str]:
    """The names of the rules whose jobs a dry run plans."""
    output = run(command, stdout=subprocess.PIPE)
    _, _, table = output.partition("Job stats:")
    rows = table.partition("total")[0].splitlines()
    return {row.split()[0] for row in rows if row.strip()}


def run(command: list[str], **more) -> str:
    """Run a command; leave with its code where it fails, as it has said why."""
    done = subprocess.run(command, text=True, **more)
    if done.returncode:
        sys.stderr.write(done.stdout or "")
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    parser.add_argument(
        "--profile",
        default=os.environ.get("SNAKEMAKE_PROFILE", "local"),
        help="of Snakemake, such as local or slurm; the variable SNAKEMAKE_PROFILE sets it too",
    )
    cli.run(main, parser)
