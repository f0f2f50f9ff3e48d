"""The Snakemake that gives out a config's jobs: whether it lives, and which jobs are its own."""

import json
import os
import platform
import re
import sys
from pathlib import Path

from dmlbench.errors import UserError
from dmlbench.files import write_json
from dmlbench.workflow.slurm.commands import SlurmError, ask, until

#: Seconds for cancelled jobs to save and end, before one goes on without them.
PATIENCE = 180.0
_KEYS = {"job_name", "arguments", "host", "process", "started"}


def record(file: Path, logs: list[str]) -> None:
    """Write who gives out jobs from now on.

    Args:
        file: Where to.
        logs: Snakemake's own, in which its Slurm plugin has said how it names its jobs.
    """
    said = "".join(Path(log).read_text(encoding="utf-8") for log in logs)
    name = re.findall(r"SLURM run ID: (\S+)", said)[-1]
    here = {"host": platform.node(), "process": os.getpid(), "started": _started(os.getpid())}
    write_json(file, {"job_name": name, "arguments": sys.argv[1:], **here})


def notice_preempted_jobs() -> None:
    """Have jobs that Slurm has cancelled for others count as cancelled, so that they are retried.

    Version 2.8.0 of Snakemake's plugin takes PREEMPTED for a state that passes, and waits for ever.
    A job that Slurm itself starts again is never seen in it: from RUNNING it goes to PENDING.
    """
    # Imported only here: the plugin asks Slurm for its version when it is.
    import snakemake_executor_plugin_slurm as plugin

    query = plugin.query_job_status

    async def query_again(*arguments) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await query(*arguments)
        if states:
            states = {job: "CANCELLED" if s == "PREEMPTED" else s for job, s in states.items()}
        return states, seconds

    plugin.query_job_status = query_again


def read(file: Path) -> dict | None:
    """What :func:`record` wrote; None where it has not.

    Raises:
        UserError: The file is damaged.
    """
    if not file.exists():
        return None
    try:
        head = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        head = None
    if not isinstance(head, dict) or not head.keys() >= _KEYS:
        raise UserError(
            f"{file}: damaged; it names the jobs of the last Snakemake. Look for them with `squeue "
            "--me`, cancel those of this config with scancel, then delete the file"
        )
    return head


def ended_head(file: Path) -> str | None:
    """How the last Snakemake of a config named its jobs; None where there was none.

    Args:
        file: What :func:`record` wrote.

    Raises:
        UserError: It still runs; or has jobs left and ran on another machine, where only the user
            can look; or the file is damaged.
    """
    head = read(file)
    if head is None:
        return None
    here = head["host"] == platform.node()
    if here and head["started"] == _started(head["process"]):
        raise UserError(
            f"Snakemake runs this config already, as process {head['process']} of this machine; "
            "wait for it, or end it: Ctrl-C there cancels its jobs"
        )
    if not here and (left := leftovers(head["job_name"])):
        raise UserError(
            f"{len(left)} job(s) wait or run of a Snakemake that was started on {head['host']}, "
            f"process {head['process']}: go there; or, if it is gone for certain, end them here: "
            f"scancel --name={head['job_name']}"
        )
    return head["job_name"]


def leftovers(name: str) -> list[str]:
    """The ids of jobs of this name that wait or run.

    Raises:
        SlurmError: Slurm does not say.
    """
    return ask("squeue", "--me", "--noheader", "--format=%i", f"--name={name}").split()


def cancel(name: str) -> list[str]:
    """Cancel the jobs of this name and wait for their end; trainings among them save first.

    Raises:
        SlurmError: Some have not ended after a while.
    """
    if jobs := leftovers(name):
        ask("scancel", *jobs)
    if not until(lambda: not leftovers(name), PATIENCE):
        left = ", ".join(leftovers(name))
        raise SlurmError(f"jobs {left} were cancelled and do not end; is their node well?")
    return jobs


def _started(pid: int) -> str | None:
    """When a process of this machine was started, in ticks; None where there is none.

    Process numbers come again; both together do not, between two starts of the machine.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"
