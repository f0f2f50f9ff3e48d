"""The same command goes on after Ctrl-C, kill -9 and damage, and two Snakemakes do not meet."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, run_snakemake
from snakemake.persistence.file import FilePersistence

RUN = "results/smoke/runs/digits_even_odd/digits_8d/triplet/eps/seed0"
#: Some jobs, and a file that each makes.
JOBS = {
    "train": f"{RUN}/history.csv",
    "embed": f"{RUN}/embeddings_test_last.npz",
    "report": "results/smoke/report/report.html",
}


@pytest.fixture
def finished(smoke_run, tmp_path):
    """A copy of a finished run, with what Snakemake knows of it."""
    # As deep as the run: the way to the scripts is part of each command, and would have all redone.
    shutil.copytree(smoke_run, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


def snakemake(*arguments, cwd):
    file = ROOT / "configs" / "smoke.yaml"
    return run_snakemake(*arguments, "--configfile", file, "--directory", cwd, cwd=cwd)


@contextmanager
def started(*arguments, cwd):
    """Snakemake at work, with a process group of its own, as in a terminal."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", *arguments]
    command += ["--configfile", ROOT / "configs" / "smoke.yaml", "--directory", cwd]
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def is_marked(folder: Path, file: str) -> bool:
    """Whether Snakemake has begun to make ``file``."""
    marks = folder / ".snakemake" / "incomplete"
    here = FilePersistence(path=folder / ".snakemake")
    return Path(here._record_path(str(marks), file)).exists()


def interrupt(folder, rule, file, number):
    """Have a job started again, and send a signal to it and its Snakemake."""
    with started("-c2", "all", "--forcerun", rule, cwd=folder) as process:
        deadline = time.monotonic() + 120
        while not is_marked(folder, file):
            assert process.poll() is None, process.stdout.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.5)
        os.killpg(process.pid, number)
        process.communicate(timeout=60)
        return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "number"),
    [("train", signal.SIGKILL), ("embed", signal.SIGKILL), ("report", signal.SIGINT)],
)
def test_the_same_command_goes_on_after_a_job_was_stopped(finished, rule, number):
    table = (finished / "results/smoke/tables/even_odd.csv").read_bytes()
    assert interrupt(finished, rule, JOBS[rule], number) != 0
    # Named, since nothing needs embeddings any more that are measured already.
    done = snakemake("-c2", "all", JOBS[rule], cwd=finished)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (finished / JOBS[rule]).exists()
    assert (finished / "results/smoke/tables/even_odd.csv").read_bytes() == table


INDEX = "data/prepared/digits_even_odd/original/index.parquet"


def mark_half_made(folder, file):
    """As Snakemake itself does before a job starts."""
    FilePersistence(path=folder / ".snakemake")._mark_incomplete(file, None)


def lock(folder, file):
    """As Snakemake itself does; whoever is killed leaves it."""
    FilePersistence(path=folder / ".snakemake")._write_locks("output", [file])


@pytest.mark.slow
def test_a_killed_snakemake_leaves_no_lock_and_a_living_one_is_named(tmp_path):
    """In one folder, since each start takes seconds."""
    with started("-c1", INDEX, cwd=tmp_path) as first:
        at_work = tmp_path / ".snakemake/at_work"
        deadline = time.monotonic() + 120
        while not list((tmp_path / ".snakemake/locks").glob("*.lock")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)  # for ever at work
        second = snakemake("-c1", INDEX, cwd=tmp_path)
        assert second.returncode != 0
        (line,) = [line for line in second.stderr.splitlines() if "another Snakemake" in line]
        assert line.startswith(f"results/smoke: another Snakemake (process {first.pid} on ")
        assert "LockException" in second.stderr
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    mark_half_made(tmp_path, INDEX)
    done = snakemake("-c1", INDEX, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a Snakemake was killed here; its locks are removed" in done.stderr
    assert (tmp_path / INDEX).exists()
    assert not is_marked(tmp_path, INDEX)
    assert [file.name.split("@")[1] for file in at_work.iterdir()] != [str(first.pid)]
