"""What Snakemake's jobs find in their environment, and which jobs a call of it would run."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from dmlbench.config.settings import Data
from dmlbench.errors import UserError


def set_job_environment(data: Data | None) -> None:
    """Set the interpreter and the places of archives for all children of this process.

    ``python`` then means this process's interpreter, except in a conda environment of Snakemake's.
    The places are no parameters of the download rule, where another mirror would have Snakemake
    make everything anew. Without ``data``, this process hands on those that it inherited.
    """
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    if data is None:
        return
    os.environ["DMLBENCH_MIRROR"] = data.mirror or ""
    os.environ["DMLBENCH_FILES"] = json.dumps(data.files)
    os.environ["DMLBENCH_CHECKSUMS"] = json.dumps(data.checksums)


def run_or_leave(command: list[str]) -> None:
    """Run a command; leave with its code where it fails, as it has said why."""
    if code := subprocess.run(command).returncode:
        sys.exit(code)


def planned_jobs(*arguments: object) -> dict[str, int]:
    """How many jobs of each rule a call of Snakemake would run; a UserError where it fails."""
    command = [sys.executable, "-m", "snakemake", "-n", "-q", "rules", "--nolock"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise UserError(f"snakemake could not plan this: {lines[-1].removeprefix('error: ')}")
    table = done.stdout.partition("Job stats:")[2].partition("\n\n")[0]
    counts: Counter[str] = Counter()
    for rule, number in re.findall(r"^(\w+)\s+(\d+)$", table, flags=re.M):
        # Each bundle of runs has a rule of its own.
        counts[re.sub(r"_bundle_\d+$", "_bundle", rule)] += int(number)
    counts.pop("total", None)
    return dict(counts)
