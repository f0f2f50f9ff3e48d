"""What would keep a run on a cluster from working, found before it starts, one line each."""

import logging
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from dmlbench.workflow.slurm.commands import SlurmError, ask, minutes, until

log = logging.getLogger(__name__)

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
#: Seconds between two questions for finished jobs, which the plugin fixes; and what they may take.
GAP, MORE = 180, 20
#: Seconds that a trial job may run, and that its file may need to show up here.
LONGEST, LATENCY = 120.0, 30.0


def sbatch(resources: Any, threads: int) -> tuple[str, ...]:
    """What Snakemake's Slurm plugin calls for a job, without what names the job.

    Args:
        resources: Of the job's rule, as Snakemake has them.
        threads: Of the rule.
    """
    # Imported only here: the plugin asks Slurm for its version when it is.
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    job = SimpleNamespace(resources=resources, threads=threads)
    given = {"account": "slurm_account", "partition": "slurm_partition"}
    named = {option: resources.get(key) for option, key in given.items()}
    named = {o: f"--{o}={shlex.quote(value)}" if value else "" for o, value in named.items()}
    nameless = {"run_uuid": "", "slurm_logfile": "", "comment_str": "", "workdir": ""}
    call = shlex.split(get_submit_command(job, nameless | named) + set_gres_string(job))
    return tuple(call[call.index("--comment") + 2 :])


def problems(
    requests: Iterable[tuple[str, Any, int]], folder: Path, wait: float = 60.0
) -> Iterator[str]:
    """What is wrong; nothing where all is well.

    Args:
        requests: The name, resources (on the last try) and threads of each rule.
        folder: Where jobs are to write.
        wait: Seconds that a trial job may wait for its start.
    """
    if absent := [name for name in COMMANDS if not shutil.which(name)]:
        yield (
            f"{', '.join(absent)}: not found; this is no machine to submit jobs from, or Slurm's "
            "commands are not in PATH (often: module load slurm)"
        )
        return
    asked = [(rule, sbatch(resources, n), resources) for rule, resources, n in requests]
    try:
        yield from _forgets_jobs(ask("scontrol", "show", "config"))
        refused = list(_refused(asked))
        yield from refused
        if not refused:
            small = {(*options, "--mem=500", "--time=5") for _, options, _ in asked}
            yield from _trials(small, folder.resolve(), wait)
    except SlurmError as error:
        yield str(error)


def _forgets_jobs(config: str) -> Iterator[str]:
    """Whether finished jobs are forgotten before Snakemake asks for them."""
    (line,) = [line for line in config.splitlines() if line.startswith("MinJobAge")]
    seconds = int(line.partition("=")[2].split()[0])
    if 0 < seconds < GAP + MORE:  # 0 is for ever
        yield (
            f"Slurm forgets finished jobs after {seconds} s (MinJobAge), and Snakemake asks for "
            f"them up to {GAP} s later: it would wait for ever; ask the administrators for Slurm's "
            "default, MinJobAge=300"
        )


def _refused(asked: list[tuple[str, tuple[str, ...], Any]]) -> Iterator[str]:
    """Each reason once, with all rules that it concerns and what the first of them asks for."""
    reasons: dict[str, tuple[list[str], tuple[str, ...]]] = {}
    for rule, options, resources in asked:
        if why := _refusal(options) or _takes_too_long(resources):
            reasons.setdefault(why, ([], options))[0].append(rule)
    for why, (rules, options) in reasons.items():
        yield (
            f"{', '.join(rules)}: {why}; asked for is {shlex.join(options)}, and "
            "`sinfo -o '%P %a %l %c %m %G'` says what there is"
        )


@cache
def _refusal(options: tuple[str, ...]) -> str:
    """What sbatch has against a request; empty if nothing."""
    try:
        ask("sbatch", "--test-only", *options, "--wrap=true")
    except SlurmError as error:
        return str(error)
    return ""


def _takes_too_long(resources: Any) -> str:
    """Whether no partition has the time: sbatch accepts such a job, which then waits for ever."""
    asked, named = resources.get("runtime"), resources.get("slurm_partition")
    where = [f"--partition={named}"] if named else ["--all"]
    lines = ask("sinfo", "--noheader", "--format=%P %l", *where).splitlines()
    limits = {line.split()[0]: minutes(line.split()[1]) for line in lines}
    limits = {name.rstrip("*"): most for name, most in limits.items() if named or "*" in name}
    if not limits or any(most is None or asked <= most for most in limits.values()):
        return ""
    name, most = max(limits.items(), key=lambda item: item[1])
    return (
        f"asks for up to {asked} minutes, and partition {name} allows {most:g} (config: "
        "resources.RULE.runtime, resources.max_runtime)"
    )


def _trials(asked: Iterable[tuple[str, ...]], folder: Path, wait: float) -> Iterator[str]:
    """Run small jobs, all at once: can they start Python, and write to ``folder``?

    One that has not started after ``wait`` seconds is given up: a busy cluster is no mistake.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials = [(options, *_submit(options, folder)) for options in asked]
    end = time.monotonic() + wait
    for options, sbatch, file in trials:
        try:
            if why := _failure(sbatch, file, end - time.monotonic()):
                yield f"a trial job ({shlex.join(options)}) {why}"
        finally:
            if sbatch.poll() is None:
                ask("scancel", f"--name={file.name}")
                sbatch.kill()
            sbatch.wait()
            file.unlink(missing_ok=True)
            file.with_suffix(".log").unlink(missing_ok=True)


def _submit(options: tuple[str, ...], folder: Path) -> tuple[subprocess.Popen, Path]:
    """An sbatch that ends as its job does, and the file that the job writes, named as it is."""
    file = folder / f".dmlbench_probe_{uuid4().hex}"
    # As Snakemake's jobs do: srun inside, which has to find Slurm, and the same Python.
    touch = f"import pathlib; pathlib.Path({str(file)!r}).touch()"
    command = shlex.join(["srun", "-n1", "--cpu-bind=q", sys.executable, "-c", touch])
    log = f"--output={file.with_suffix('.log')}"
    call = ["sbatch", "--wait", *options, f"--job-name={file.name}", log, f"--wrap={command}"]
    return subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), file


def _failure(sbatch: subprocess.Popen, file: Path, wait: float) -> str:
    """What went wrong with a trial; empty if nothing, or if it has not started in time."""
    if not until(lambda: sbatch.poll() is not None, wait):
        state = ask("squeue", "--noheader", "--format=%T %r", f"--name={file.name}").split()
        if state[:1] == ["PENDING"]:
            told = "a trial job has not started (%s): whether jobs can write to %s was not tried"
            log.warning(told, state[1], file.parent)
            return ""
        if not until(lambda: sbatch.poll() is not None, LONGEST):
            return f"hangs: it was to write a file to {file.parent}"
    if sbatch.returncode:
        output = file.with_suffix(".log")
        said = output.read_text().strip().splitlines() if output.exists() else []
        absent = f"no log: is {file.parent} there on the node, and writable?"
        return f"failed: {said[-1] if said else absent}"
    if not until(file.exists, LATENCY):
        return (
            f"wrote a file to {file.parent} that is not here: run from a disk that this machine "
            "and the nodes share"
        )
    return ""
