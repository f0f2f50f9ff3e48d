#!/usr/bin/env python
"""Go on after Snakemake itself was killed: what `make resume` runs.

Cancels the Slurm jobs that it left behind (trainings save first), unlocks, and starts it again as
it was started. Words after `--` go to Snakemake instead of those.
"""

import logging
import os
import shlex
import sys
from pathlib import Path

from dmlbench import cli, paths
from dmlbench.config import read_config
from dmlbench.config.load import validate
from dmlbench.workflow import slurm
from dmlbench.workflow.snakemake_jobs import run_or_leave

log = logging.getLogger("dmlbench")


def main(args) -> None:
    """End what is left of the last Snakemake of ``args.config``, and become the next one."""
    # Only its name: a whole plan imports PyTorch, while jobs go on.
    name = validate(read_config(args.config), str(args.config)).name
    file = Path(paths.head(name))
    given = ["--configfile", str(args.config), "--profile", args.profile]
    if before := slurm.ended_head(file):
        ended = slurm.cancel(before)
        log.info("%d jobs were left: %s", len(ended), ", ".join(ended) or "none")
        last = before.arguments
    else:
        log.info("%s is not there: no Snakemake has given jobs to Slurm here", file)
        last = [*given, "all"]
    asked = [*given, *args.arguments] if args.arguments else last
    snakemake = [sys.executable, "-m", "snakemake", *asked]
    run_or_leave([*snakemake, "--unlock"])
    log.info("%s", shlex.join(snakemake))
    os.execv(sys.executable, snakemake)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="config file")
    parser.add_argument("--profile", default="slurm", help="of Snakemake")
    parser.add_argument("arguments", nargs="*", help="for Snakemake, instead of its last ones")
    cli.run(main, parser)
