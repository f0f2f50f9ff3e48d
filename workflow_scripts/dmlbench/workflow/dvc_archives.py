"""What DVC has of the archives: from its remote, and into its cache."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterable

from dvc.repo import Repo

log = logging.getLogger(__name__)

PINS = "data.dvc"


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
