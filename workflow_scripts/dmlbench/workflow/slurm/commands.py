"""Asking Slurm's commands, with a limit on how long they may take."""

import subprocess

from dmlbench.errors import UserError

#: Seconds; the commands themselves try for most of a minute to reach the controller.
PATIENCE = 90.0


class SlurmError(UserError):
    """Slurm refuses, or cannot be asked."""


def ask(*command: str, seconds: float = PATIENCE) -> str:
    """What a command of Slurm prints.

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


def minutes(limit: str) -> float | None:
    """From Slurm's ``days-hours:minutes:seconds``, left parts absent; None of what is no number."""
    days, _, clock = limit.rpartition("-")
    try:
        parts = [int(part) for part in clock.split(":")]
        hours, whole, seconds = [0, 0, *parts][-3:]
        return int(days or 0) * 1440 + hours * 60 + whole + seconds / 60
    except ValueError:  # infinite, UNLIMITED, NOT_SET
        return None
