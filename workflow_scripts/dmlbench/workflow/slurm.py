"""Asking Slurm: about the jobs of processes, and of the Snakemake that gives out a config's."""

import logging
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ValidationError

from dmlbench.errors import UserError
from dmlbench.files import write_json

log = logging.getLogger(__name__)

PATIENCE = 180.0  #: seconds for cancelled jobs to end; trainings among them save first
#: States in which processes of a job may be at work where they should be.
_ALIVE = {"RUNNING", "COMPLETING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED",
          "SUSPENDED"}  # fmt: skip


class SlurmError(UserError):
    """Slurm refuses, or cannot be asked."""


class Head(BaseModel):
    """The Snakemake that gives out jobs: how it names them, how it was called, and its process."""

    job_name: str
    arguments: list[str]
    host: str
    process: int
    started: float | None  #: process numbers come again, but not with the same start


def ask(*command: str, seconds: float = 90.0) -> str:
    """What a command of Slurm prints; it tries for most of a minute to reach the controller.

    Raises:
        SlurmError: The command is missing, fails, or says nothing for ``seconds``; with its words.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except FileNotFoundError:
        why = "this is no machine to submit jobs from, or Slurm's commands are not in PATH"
        raise SlurmError(f"{command[0]}: not found; {why} (often: module load slurm)") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]}: no answer from Slurm within {seconds:.0f} s") from None
    if done.returncode:
        said = ((done.stderr or done.stdout).strip().splitlines() or ["no word why"])[-1]
        raise SlurmError(f"{command[0]}: {said.removeprefix(f'{command[0]}: ')}")
    return done.stdout


def until(what: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``what()`` is true; whether it has come to that within ``seconds``."""
    end = time.monotonic() + seconds
    while not (true := what()) and time.monotonic() < end:
        time.sleep(0.5)
    return true


def minutes(limit: str) -> float | None:
    """Minutes of Slurm's ``days-hours:minutes:seconds``, with fewer parts; None of other words."""
    days, _, clock = limit.rpartition("-")
    try:
        hours, whole, seconds = [0, 0, *map(int, clock.split(":"))][-3:]
        return int(days or 0) * 1440 + hours * 60 + whole + seconds / 60
    except ValueError:  # infinite, UNLIMITED, NOT_SET
        return None


def current_job() -> dict:
    """The Slurm job of this process; its values are None outside of one."""
    job, cluster = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_CLUSTER_NAME")
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0")) if job else None
    return {"job": job, "restarts": restarts, "cluster": cluster}


def minutes_left(asked: float | None) -> float | None:
    """How long this process may take, of the minutes that its job asked for; None is no limit.

    The job began before this process did, so Slurm's word counts where it is less.
    """
    if asked is None or not (job := current_job()["job"]):
        return asked
    try:
        left = minutes(ask("squeue", "-h", "-o%L", f"--jobs={job}").strip())
    except SlurmError as error:
        log.info("cannot ask for the time left to job %s: %s", job, error)
        return asked
    return asked if left is None else min(asked, left)


def has_ended(other: dict) -> bool:
    """Whether Slurm says that another process's job (its :func:`current_job`) is over.

    That process is then an orphan: a node that the controller takes for dead may go on working.
    False where nothing is known, as of jobs of another cluster.
    """
    mine = current_job()
    if not mine["job"] or not other.get("job") or other.get("cluster") != mine["cluster"]:
        return False
    if other["job"] == mine["job"]:
        return other["restarts"] < mine["restarts"]
    try:
        states = ask("squeue", "-h", "-o%T", "--states=all", f"--jobs={other['job']}")
    except SlurmError as error:
        log.info("cannot ask for job %s: %s", other["job"], error)
        return "Invalid job id" in str(error)
    return not _ALIVE & set(states.split())


def record_head(file: Path, logs: list[str]) -> None:
    """Write to ``file`` that this process gives out jobs from now on.

    ``logs`` are Snakemake's own, in which its Slurm plugin has said how it names its jobs.
    """
    said = "".join(Path(log).read_text(encoding="utf-8") for log in logs)
    head = Head(
        job_name=re.findall(r"SLURM run ID: (\S+)", said)[-1],
        arguments=sys.argv[1:],
        host=platform.node(),
        process=os.getpid(),
        started=started(os.getpid()),
    )
    write_json(file, head.model_dump())


def notice_preempted_jobs() -> None:
    """Have jobs that Slurm has cancelled for others count as cancelled, so that they are retried.

    Version 2.8.0 of Snakemake's plugin takes PREEMPTED for a state that passes, and waits for ever.
    A job that Slurm itself starts again is never seen in it: from RUNNING it goes to PENDING.
    """
    import snakemake_executor_plugin_slurm as plugin  # asks Slurm for its version

    query = plugin.query_job_status

    async def query_again(*arguments: Any) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await query(*arguments)
        if states:
            states = {job: "CANCELLED" if s == "PREEMPTED" else s for job, s in states.items()}
        return states, seconds

    plugin.query_job_status = query_again


def ended_head(file: Path) -> Head | None:
    """The last Snakemake of a config, from what :func:`record_head` wrote; None where none did.

    Raises:
        UserError: It still runs; or has jobs left and ran on another machine, where only the user
            can look; or the file is damaged.
    """
    if not file.exists():
        return None
    try:
        head = Head.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError:
        todo = "cancel this config's jobs (`squeue --me`, scancel), then delete the file"
        raise UserError(f"{file}: damaged; {todo}") from None
    here = head.host == platform.node()
    running = started(head.process) if here else None
    if running and abs(running - (head.started or 0)) < 10:  # the clock may have been set
        raise UserError(
            f"Snakemake runs this config already, as process {head.process} of this machine; "
            "wait for it, or end it: Ctrl-C there cancels its jobs"
        )
    if not here and (left := leftovers(head)):
        raise UserError(
            f"{len(left)} job(s) wait or run of a Snakemake that was started on {head.host}, "
            f"process {head.process}: go there; or, if it is gone for certain, end them here: "
            f"scancel --name={head.job_name}"
        )
    return head


def leftovers(head: Head) -> list[str]:
    """The ids of its jobs that wait or run."""
    return ask("squeue", "-h", "-o%i", "--me", f"--name={head.job_name}").split()


def cancel(head: Head) -> list[str]:
    """Cancel its jobs and return their ids; a SlurmError where one does not end after a while."""
    if jobs := leftovers(head):
        ask("scancel", *jobs)
    if not until(lambda: not leftovers(head), PATIENCE):
        left = ", ".join(leftovers(head))
        raise SlurmError(f"jobs {left} were cancelled and do not end; is their node well?")
    return jobs


def started(pid: int) -> float | None:
    """When a process of this machine began, in seconds since 1970; None where it is dead."""
    try:
        process = psutil.Process(pid)
        # Killed, but not yet buried by its parent, it is a zombie.
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time())
    except psutil.NoSuchProcess:
        return None
