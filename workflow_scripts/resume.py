#!/usr/bin/env python
"""Go on after Snakemake itself was killed: what `make resume` runs.

Cancels the Slurm jobs that it left behind (trainings save first), unlocks, and starts it again.
Words after `--` go to Snakemake.
"""

import logging
import os
import subprocess
import sys
from pathlib import Path

from dmlbench import cli, paths
from dmlbench.cluster import head
from dmlbench.config import load_config

log = logging.getLogger("dmlbench")


def main(args) -> None:
    """End what is left of the last Snakemake of ``args.config``, and become the next one."""
    file = Path(paths.head(load_config(args.config).benchmark.name))
    if jobs := head.ended_head(file):
        ended = head.cancel(jobs)
        log.info("%d jobs were left: %s", len(ended), ", ".join(ended) or "none")
    snakemake = [sys.executable, "-m", "snakemake", "--configfile", str(args.config)]
    if code := subprocess.run([*snakemake, "--unlock"]).returncode:
        sys.exit(code)
    os.execv(sys.executable, [*snakemake, "--profile", args.profile, *args.arguments])


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="config file")
    parser.add_argument("--profile", default="slurm", help="of Snakemake")
    parser.add_argument("arguments", nargs="*", default=["all"], help="for Snakemake")
    cli.run(main, parser)
