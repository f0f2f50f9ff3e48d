"""Asking Slurm: with a limit on how long it may take, and about the jobs of processes."""

import os
import subprocess
import time
from collections.abc import Callable

from dmlbench.errors import UserError

#: States in which processes of a job may be at work where they should be.
_ALIVE = {"RUNNING", "COMPLETING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED",
          "SUSPENDED"}  # fmt: skip


class SlurmError(UserError):
    """Slurm refuses, or cannot be asked."""


def ask(*command: str, seconds: float = 90.0) -> str:
    """What a command of Slurm prints; it tries for most of a minute to reach the controller.

    Raises:
        SlurmError: The command is missing, fails, or says nothing for ``seconds``; with its words.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except FileNotFoundError:
        raise SlurmError(
            f"{command[0]}: not found; this is no machine to submit jobs from, or Slurm's commands "
            "are not in PATH (often: module load slurm)"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]}: no answer from Slurm within {seconds:.0f} s") from None
    if done.returncode:
        said = ((done.stderr or done.stdout).strip().splitlines() or ["no word why"])[-1]
        raise SlurmError(f"{command[0]}: {said.removeprefix(f'{command[0]}: ')}")
    return done.stdout


def queue(columns: str, *which: str) -> str:
    """What ``squeue`` has in these columns of the jobs that its options name."""
    return ask("squeue", "--noheader", f"--format={columns}", *which)


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
        parts = [int(part) for part in clock.split(":")]
        hours, whole, seconds = [0, 0, *parts][-3:]
        return int(days or 0) * 1440 + hours * 60 + whole + seconds / 60
    except ValueError:  # infinite, UNLIMITED, NOT_SET
        return None


def current_job() -> dict:
    """The Slurm job of this process; its values are None outside of one."""
    get = os.environ.get
    if not (job := get("SLURM_JOB_ID")):
        return dict.fromkeys(("job", "restarts", "cluster"))
    restarts = int(get("SLURM_RESTART_COUNT", "0"))
    return {"job": job, "restarts": restarts, "cluster": get("SLURM_CLUSTER_NAME")}


def minutes_left(asked: float | None) -> float | None:
    """How long this process may take, of the minutes that its job asked for; None is no limit.

    The job began before this process did, so Slurm's word counts where it is less.
    """
    job = current_job()["job"]
    if asked is None or not job:
        return asked
    try:
        left = minutes(queue("%L", f"--jobs={job}").strip())
    except SlurmError:
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
        states = queue("%T", "--states=all", f"--jobs={other['job']}")
    except SlurmError as error:
        return "Invalid job id" in str(error)
    return not _ALIVE & set(states.split())
