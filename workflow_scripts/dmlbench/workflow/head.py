"""The Snakemake that gives out a config's jobs: whether it lives, and which jobs are its own."""

import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dmlbench.errors import UserError
from dmlbench.files import write_json
from dmlbench.workflow.slurm import SlurmError, ask, queue, until

PATIENCE = 180.0  #: seconds for cancelled jobs to save and end


class Head(BaseModel):
    """A Snakemake: how it names its jobs, how it was called, and its process.

    Process numbers come again, but not with the same start.
    """

    job_name: str
    arguments: list[str]
    host: str
    process: int
    started: str | None


def record(file: Path, logs: list[str]) -> None:
    """Write to ``file`` that this process gives out jobs from now on.

    ``logs`` are Snakemake's own, in which its Slurm plugin has said how it names its jobs.
    """
    said = "".join(Path(log).read_text(encoding="utf-8") for log in logs)
    facts = {
        "job_name": re.findall(r"SLURM run ID: (\S+)", said)[-1],
        "arguments": sys.argv[1:],
        "host": platform.node(),
        "process": os.getpid(),
        "started": _started(os.getpid()),
    }
    write_json(file, facts)


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
    """The last Snakemake of a config, from what :func:`record` wrote; None where there was none.

    Raises:
        UserError: It still runs; or has jobs left and ran on another machine, where only the user
            can look; or the file is damaged.
    """
    if not file.exists():
        return None
    try:
        head = Head.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError:
        raise UserError(
            f"{file}: damaged; it names the jobs of the last Snakemake. Cancel this config's "
            "(`squeue --me`, scancel), then delete the file"
        ) from None
    here = head.host == platform.node()
    if here and head.started == _started(head.process):
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
    return queue("%i", "--me", f"--name={head.job_name}").split()


def cancel(head: Head) -> list[str]:
    """Cancel its jobs, wait for their end, and return their ids; trainings among them save first.

    Raises:
        SlurmError: Some have not ended after a while.
    """
    if jobs := leftovers(head):
        ask("scancel", *jobs)
    if not until(lambda: not leftovers(head), PATIENCE):
        left = ", ".join(leftovers(head))
        raise SlurmError(f"jobs {left} were cancelled and do not end; is their node well?")
    return jobs


def _started(pid: int) -> str | None:
    """The start of the machine and, in ticks, of a process of it; None where there is none."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"
