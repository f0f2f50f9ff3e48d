"""What would keep a run on a cluster from working, found before it starts, one line each."""

import logging
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import DEVNULL
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from dmlbench.workflow.slurm import SlurmError, ask, minutes, until

log = logging.getLogger(__name__)

ASKED_WITHIN = 200  #: seconds after the end of a job, in which Snakemake's plugin asks for it
LONGEST, LATENCY = 120.0, 30.0  #: seconds for a trial job to run, and for its file to show up here


def sbatch(resources: Any, threads: int) -> tuple[str, ...]:
    """The options of ``sbatch`` with which Snakemake's plugin asks for a rule's resources."""
    # The plugin asks Slurm for its version when it is imported.
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    job = SimpleNamespace(resources=resources, threads=threads)
    values = dict.fromkeys(("run_uuid", "slurm_logfile", "comment_str", "workdir"), "")
    for option in ("account", "partition"):
        value = resources.get(f"slurm_{option}")
        values[option] = f"--{option}={shlex.quote(value)}" if value else ""
    call = shlex.split(get_submit_command(job, values) + set_gres_string(job))
    return tuple(call[call.index("--comment") + 2 :])  # before it stands what names the job


def problems(
    requests: Iterable[tuple[str, Any, int]], folder: Path, wait: float = 60.0
) -> Iterator[str]:
    """What is wrong, if anything; a SlurmError where Slurm cannot be asked.

    ``requests`` are the name, resources (on the last try) and threads of each rule, ``folder`` is
    where jobs are to write. A trial job may wait ``wait`` seconds for its start.
    """
    kept = int(re.search(r"^MinJobAge\s*=\s*(\d+)", ask("scontrol", "show", "config"), re.M)[1])
    if 0 < kept < ASKED_WITHIN:  # 0 is for ever
        yield (
            f"Slurm forgets finished jobs after {kept} s (MinJobAge), and Snakemake asks up to "
            f"{ASKED_WITHIN} s later: ask the administrators for the default, MinJobAge=300"
        )
    asked = [(rule, sbatch(resources, n), resources) for rule, resources, n in requests]
    refused = list(_refused(asked))
    yield from refused
    if not refused:
        small = {(*options, "--mem=500", "--time=5") for _, options, _ in asked}
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor() as pool:
            told = pool.map(lambda options: _trial(options, folder.resolve(), wait), small)
        yield from filter(None, told)


def _refused(asked: list[tuple[str, tuple[str, ...], Any]]) -> Iterator[str]:
    """Each reason once, with all rules that it concerns and what the first of them asks for."""
    reasons: dict[str, tuple[list[str], tuple[str, ...]]] = {}
    for rule, options, resources in asked:
        try:
            ask("sbatch", "--test-only", *options, "--wrap=true")
            why = _takes_too_long(resources)
        except SlurmError as error:
            why = str(error)
        if why:
            reasons.setdefault(why, ([], options))[0].append(rule)
    for why, (rules, options) in reasons.items():
        yield (
            f"{', '.join(rules)}: {why}; asked for is {shlex.join(options)}, and "
            "`sinfo -o '%P %a %l %c %m %G'` says what there is"
        )


def _takes_too_long(resources: Any) -> str:
    """Whether no partition has the time: sbatch accepts such a job, which then waits for ever."""
    asked, named = resources.get("runtime"), resources.get("slurm_partition")
    where = f"--partition={named}" if named else "--all"
    lines = [line.split() for line in ask("sinfo", "-h", "-o%P %l", where).splitlines()]
    # Without a name, jobs go to the partition with the star.
    limits = {name.rstrip("*"): minutes(most) for name, most in lines if named or "*" in name}
    if not limits or any(most is None or asked <= most for most in limits.values()):
        return ""
    name = max(limits, key=limits.get)
    why = f"asks for up to {asked} minutes, and partition {name} allows {limits[name]:g}"
    return f"{why} (config: resources.RULE.runtime, resources.max_runtime)"


def _trial(options: tuple[str, ...], folder: Path, wait: float) -> str:
    """Run a small job: can it start Python, and write to ``folder``? What went wrong, if anything.

    One that has not started after ``wait`` seconds is given up: a busy cluster is no mistake.
    """
    what = f"a trial job ({shlex.join(options)})"
    file = folder / f".dmlbench_probe_{uuid4().hex}"
    output = file.with_suffix(".log")
    # As Snakemake's jobs do: srun inside, which has to find Slurm, and the same Python.
    touch = f"import pathlib; pathlib.Path({str(file)!r}).touch()"
    command = shlex.join(["srun", "-n1", "--cpu-bind=q", sys.executable, "-c", touch])
    named = (f"--job-name={file.name}", f"--output={output}", f"--wrap={command}")
    call = subprocess.Popen(["sbatch", "--wait", *options, *named], stdout=DEVNULL, stderr=DEVNULL)
    try:
        if not until(lambda: call.poll() is not None, wait):
            said = ask("squeue", "-h", "-o%T %r", f"--name={file.name}")
            state, _, reason = said.strip().partition(" ")
            if state == "PENDING":
                told = "a trial job has not started (%s): whether jobs can write to %s is not known"
                log.warning(told, reason, folder)
                return ""
            if not until(lambda: call.poll() is not None, LONGEST):
                return f"{what} hangs: it was to write a file to {folder}"
        if call.returncode:
            said = output.read_text().strip() if output.exists() else ""
            said = said or f"no log: is {folder} there on the node, and writable?"
            return f"{what} failed: {said.splitlines()[-1]}"
        if until(file.exists, LATENCY):
            return ""
        what += f" wrote a file to {folder} that is not here"
        return f"{what}: run from a disk that this machine and the nodes share"
    finally:
        if call.poll() is None:
            ask("scancel", f"--name={file.name}")
            call.kill()
        call.wait()
        for each in (file, output):
            each.unlink(missing_ok=True)
