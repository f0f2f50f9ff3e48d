#!/usr/bin/env python
"""Make all results of a config with Snakemake, data first: what `dvc repro` runs."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterable

try:
    from dvc.repo import Repo
except ModuleNotFoundError:
    sys.exit(f"error: {sys.executable} has no DVC; first: make setup, source .venv/bin/activate")

from dmlbench import cli
from dmlbench.config import load_config
from dmlbench.workflow.snakemake_jobs import planned_jobs, run_or_leave

log = logging.getLogger("dmlbench")

PINS = "data.dvc"


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
        run_or_leave([*snakemake, "datasets"])
    run_or_leave([*snakemake, "all"])
    keep_archives(archives)


def pull_archives(files: Iterable[str]) -> None:
    """Bring what is missing of ``files`` from the DVC remote, as far as it is there.

    A line names the others, which Snakemake fetches from their sources.
    """
    missing = {file for file in files if not os.path.exists(file)}
    with Repo() as repo:
        remote = repo.config["core"].get("remote")
        pinned = sorted(missing & {str(out) for out in repo.index.outs})
    if not pinned:
        return
    if not remote:
        log.info("no DVC remote is set: archives come from their sources")
        return
    # DVC logs and counts progress for a whole process. It names what the remote lacks and goes on.
    subprocess.run([sys.executable, "-m", "dvc", "pull", "--quiet", *pinned])
    for file in pinned:
        if not os.path.exists(file):
            log.warning("%s: not in the DVC remote '%s'; from its source", file, remote)


def keep_archives(files: Iterable[str]) -> None:
    """Put those of ``files`` that are what ``data.dvc`` pins into DVC's cache, for ``dvc push``."""
    wanted = set(files)
    with Repo() as repo:
        for out in repo.index.outs:
            if str(out) in wanted and out.stage.relpath == PINS and out.exists:
                if out.changed_checksum():
                    log.warning("%s: not the bytes that %s pins, so DVC keeps no copy", out, PINS)
                else:
                    out.commit()


if __name__ == "__main__":
    parser = cli.config_parser(__doc__)
    parser.add_argument(
        "--profile",
        default=os.environ.get("SNAKEMAKE_PROFILE", "local"),
        help="of Snakemake, such as local or slurm; the variable SNAKEMAKE_PROFILE sets it too",
    )
    cli.run(main, parser)
