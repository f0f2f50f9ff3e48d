"""What would keep a run on a cluster from working, found before it starts, one line each."""

import os
import shutil
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from dmlbench.workflow.slurm.commands import SlurmError, ask
from dmlbench.workflow.slurm.partitions import misfit, partitions
from dmlbench.workflow.slurm.probe import probe
from dmlbench.workflow.slurm.requests import Request, together

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
JOBSTEP = "snakemake-executor-plugin-slurm-jobstep"
#: Seconds between two questions for finished jobs, which the plugin fixes; and what they may take.
GAP, MORE = 180, 20


def problems(requests: Iterable[Request], folder: Path, wait: float = 60.0) -> Iterator[str]:
    """What is wrong; nothing where all is well.

    Args:
        requests: What rules will ask for; those that ask for the same are named together.
        folder: Where jobs are to write.
        wait: Seconds that a trial job may wait for its start.
    """
    requests = together(requests)
    if absent := [name for name in COMMANDS if not shutil.which(name)]:
        yield (
            f"{', '.join(absent)}: not found; this is no machine to submit jobs from, or Slurm's "
            "commands are not in PATH (often: module load slurm)"
        )
        return
    try:
        yield from _settings(ask("scontrol", "show", "config"))
        fits = list(_misfits(requests))
        yield from fits
        if not fits:
            yield from probe({request.small() for request in requests}, folder, wait)
    except SlurmError as error:
        yield str(error)


def _settings(config: str) -> Iterator[str]:
    """What is wrong with the cluster's configuration, and how it is found."""
    values = dict(line.split("=", 1) for line in config.splitlines() if "=" in line)
    values = {name.strip(): value.strip() for name, value in values.items()}
    remembered = int(values["MinJobAge"].split()[0])
    if 0 < remembered < GAP + MORE:  # 0 is for ever
        yield (
            f"Slurm forgets finished jobs after {remembered} s (MinJobAge), and Snakemake asks for "
            f"them up to {GAP} s later: it would wait for ever; ask the administrators for Slurm's "
            "default, MinJobAge=300"
        )
    installed = version(JOBSTEP)
    if "SLURM_CONF" in os.environ and _numbers(installed) > (0, 6, 0):
        yield (
            f"SLURM_CONF is set, and {JOBSTEP} {installed} drops it inside jobs, so these find "
            f"no Slurm: pip install {JOBSTEP}==0.6.0"
        )


def _misfits(requests: list[Request]) -> Iterator[str]:
    """Each reason once, with all rules that it concerns."""
    found, default = partitions()
    reasons: dict[str, list[str]] = {}
    for request in requests:
        if why := misfit(request, found, default) or _refusal(request):
            reasons.setdefault(why, []).append(request.rule)
    for why, rules in reasons.items():
        yield f"{', '.join(rules)}: {why}"


def _refusal(request: Request) -> str | None:
    """What sbatch has against a request."""
    try:
        ask("sbatch", "--test-only", *request.options, "--wrap=true")
    except SlurmError as error:
        return str(error)
    return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3])
