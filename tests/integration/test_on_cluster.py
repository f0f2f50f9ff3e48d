"""The Slurm profile where there is no Slurm; with one: tests/slurm."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, job_counts

from dmlbench.config import load_config


@pytest.fixture
def path(tmp_path) -> str:
    """A PATH that reaches no Slurm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "sh", "env", "git", "uname", "which"):
        (folder / name).symlink_to(shutil.which(name))
    return f"{Path(sys.executable).parent}:{folder}"


def snakemake(path: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )


def test_a_dry_run_of_the_benchmark_needs_no_slurm_and_little_time(path):
    before = os.times().children_user
    done = snakemake(path, "-n", "--quiet", "rules", "all")
    assert done.returncode == 0, done.stderr
    runs = len(load_config(ROOT / "config.yaml").runs)
    assert job_counts(done.stdout + done.stderr)["train"] == runs > 500
    # CPU time of the child, as other work on the machine is not its fault.
    assert os.times().children_user - before < 25


def test_a_run_without_slurm_says_so_in_one_line_and_gives_out_no_job(path, tmp_path):
    folder = tmp_path / "run"
    config = ("--configfile", str(ROOT / "configs" / "smoke.yaml"), "--directory", str(folder))
    soon = ("--slurm-init-seconds-before-status-checks", "1")
    done = snakemake(path, "all", *config, *soon)
    assert done.returncode == 2
    errors = re.findall(r"^error: .*$", done.stdout + done.stderr, flags=re.MULTILINE)
    assert len(errors) == 1
    assert errors[0].startswith("error: scontrol: not found; this is no machine to submit")
    assert "Traceback" not in done.stderr
    # Nothing is locked: the next start, on the right machine, needs no --unlock.
    assert not list((folder / ".snakemake" / "locks").glob("*"))
