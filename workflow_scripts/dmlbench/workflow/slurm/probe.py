"""Small jobs that show whether a cluster's jobs can do what ours must: start Python, and write."""

import logging
import shlex
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dmlbench.workflow.slurm.commands import ask
from dmlbench.workflow.slurm.requests import Request

log = logging.getLogger(__name__)

#: Seconds that a job may run, and that its file may need to show up here.
LONGEST, LATENCY = 120.0, 30.0
_OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
         "PREEMPTED", "TIMEOUT"}  # fmt: skip


@dataclass
class Trial:
    """One such job."""

    request: Request
    job: str
    file: Path
    log: Path
    state: str = "PENDING"
    reason: str = ""
    node: str = ""

    def look(self) -> None:
        """Ask for its state."""
        said = ask(
            "squeue", "--noheader", "--states=all", "--format=%T|%r|%N", f"--jobs={self.job}"
        )
        self.state, self.reason, self.node = said.strip().split("|")

    @property
    def where(self) -> str:
        """Its partition and, once it has one, its node."""
        partition = f"partition {self.request.partition or 'by default'}"
        return f"{partition}, node {self.node}" if self.node else partition


def probe(requests: Iterable[Request], folder: Path, wait: float) -> Iterator[str]:
    """Run a job for each request, all at once; say what went wrong.

    Args:
        requests: Where to.
        folder: In which each has to write a file that this machine sees.
        wait: Seconds until a job that has not started is given up: a busy cluster is no mistake.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials = [_submit(request, folder) for request in requests]
    started = time.monotonic()
    try:
        for trial in trials:
            while trial.state not in _OVER:
                time.sleep(0.5)
                trial.look()
                passed = time.monotonic() - started
                if passed > (wait if trial.state == "PENDING" else wait + LONGEST):
                    break
            yield from _verdict(trial, folder)
    finally:
        for trial in trials:
            if trial.state not in _OVER:
                ask("scancel", trial.job)
            trial.file.unlink(missing_ok=True)
            trial.log.unlink(missing_ok=True)


def _submit(request: Request, folder: Path) -> Trial:
    name = folder / f".probe-{uuid.uuid4().hex}"
    file, output = name.with_suffix(".written"), name.with_suffix(".log")
    # As Snakemake's jobs do: srun inside, which has to find Slurm, and the same Python.
    touch = f"import pathlib; pathlib.Path({str(file.resolve())!r}).touch()"
    command = shlex.join(["srun", "-n1", "--cpu-bind=q", sys.executable, "-c", touch])
    options = ["--parsable", "--job-name=dmlbench_probe", f"--output={output.resolve()}"]
    job = ask("sbatch", *options, *request.options, f"--wrap={command}").strip().partition(";")[0]
    return Trial(request, job, file, output)


def _verdict(trial: Trial, folder: Path) -> Iterator[str]:
    if trial.state == "PENDING":
        log.warning(
            "a trial job in %s has not started (%s): whether jobs can write to %s was not tried",
            trial.where, trial.reason, folder,
        )  # fmt: skip
    elif trial.state not in _OVER:
        yield f"a trial job in {trial.where} hangs: it was to write a file to {folder.resolve()}"
    elif trial.state != "COMPLETED":
        said = trial.log.read_text().strip().splitlines() if trial.log.exists() else []
        why = (
            said[-1] if said else f"no log: is {folder.resolve()} there on the node, and writable?"
        )
        yield f"a trial job in {trial.where} ended as {trial.state}: {why}"
    elif not _shows_up(trial.file):
        yield (
            f"{folder.resolve()} is not shared: what a job in {trial.where} wrote there is not "
            "here; run from a disk that this machine and the nodes share"
        )


def _shows_up(file: Path) -> bool:
    deadline = time.monotonic() + LATENCY
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    return file.exists()
