"""A checkout whose jobs go to the cluster: what tests do to it and ask of it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from conftest import ROOT, config_with, job_counts
from private_slurm import PrivateSlurm

HERE = Path(__file__).parent
#: The runs of a case by the name of their loss: its margin tells paced.py which one it is in.
RUNS = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}
#: Minutes: often enough that every accident comes after a checkpoint.
CHECKPOINT = 0.005


def config() -> dict:
    """The smoke config with the loss that has accidents, at one seed."""
    made = config_with() | {"seeds": [0], "training": {"checkpoint_minutes": CHECKPOINT}}
    made["losses"] = {
        run: {"type": "paced.PacedTriplet", "margin": margin} for run, margin in RUNS.items()
    }
    methods = [{"loss": list(RUNS), "sampler": "eps"}]
    made["experiments"]["even_odd"]["methods"] = methods
    return made


def in_results(part: str, run: str) -> str:
    """A run's folder in one of the parts of the results: runs, checkpoints, logs/train."""
    return f"results/smoke/{part}/digits_even_odd/digits_8d/{run}/eps/seed0"


def metrics(run: str) -> str:
    return f"{in_results('runs', run)}/metrics.json"


def trained(run: str) -> str:
    """The last file that a training writes."""
    return f"{in_results('runs', run)}/run.json"


def checkout(folder: Path) -> Path:
    """What git knows of the repository, as it is now, and the config of these tests."""
    parts = ("Snakefile", "rules", "workflow_scripts", "slurm", "configs", "Makefile")
    listed = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "--", *parts]
    known = subprocess.check_output(listed, text=True)
    for name in known.split():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copy(HERE / "paced.py", folder)
    (folder / "accidents").mkdir()
    (folder / "test.yaml").write_text(yaml.safe_dump(config()))
    return folder


class Case:
    """One checkout whose jobs go to the cluster."""

    def __init__(
        self, folder: Path, cluster: PrivateSlurm, local: Path | None, resources: dict
    ) -> None:
        (folder / "test.yaml").write_text(yaml.safe_dump(config() | {"resources": resources}))
        self.folder, self.cluster, self.local = folder, cluster, local
        self.environment = cluster.environment | {"PYTHONPATH": str(folder)}
        self.log = folder / "snakemake.log"
        self.running: list[subprocess.Popen] = []
        if local:
            shutil.copytree(local / "data", folder / "data")
            # Without what Snakemake knows of them, they count as out of date.
            known = Path(".snakemake/metadata")
            shutil.copytree(local / known, folder / known)

    def accident(self, what: str, run: str, number: float) -> None:
        """See paced.py."""
        (self.folder / "accidents" / f"{what}_{RUNS[run]:g}").write_text(str(number))

    def start(self, *arguments: str, config: str = "test.yaml") -> subprocess.Popen:
        """Start ``snakemake --profile slurm``."""
        command = [sys.executable, HERE / "polling.py", "--profile", "slurm", *arguments]
        return self.run(*command, "--configfile", config)

    def run(self, *command: object, **environment: str) -> subprocess.Popen:
        """Start a command in the checkout; what it says goes to the log."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [str(word) for word in command], cwd=self.folder, stdout=log, stderr=log,
                env=self.environment | environment,
            )  # fmt: skip
        self.running.append(process)
        return process

    def end(self) -> None:
        """End what a failed test has left."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()
        for job in self.jobs(""):
            subprocess.run(["scancel", job["id"]], env=self.environment, check=False)

    def said(self) -> str:
        """What all commands have said."""
        return self.log.read_text()

    def jobs(self, rule: str = "train") -> list[dict]:
        """This checkout's jobs of a rule ("" of any) that Slurm remembers, the oldest first."""
        fields = {
            "id": "JobID", "state": "State", "node": "NodeList", "gpus": "tres-per-job",
            "gres": "tres-per-node", "memory": "MinMemory", "limit": "TimeLimit",
            "comment": "Comment", "folder": "WorkDir",
        }  # fmt: skip
        form = ",".join(f"{field}:400" for field in fields.values())
        said = self.cluster.ask("squeue", "-h", "--states=all", "--sort=i", "-O", form)
        starts = range(0, 400 * len(fields), 400)
        rows = [[line[i : i + 400].strip() for i in starts] for line in said.splitlines()]
        found = [dict(zip(fields, row, strict=True)) for row in rows]
        ours = [job for job in found if job["folder"] == str(self.folder)]
        return [job for job in ours if job["comment"].startswith(f"rule_{rule}")]

    def jobs_of(self, run: str) -> list[dict]:
        """The training jobs of one run."""
        return [job for job in self.jobs() if job["comment"].endswith(f"_{run}_eps_0")]

    def job_with_checkpoint(self, run: str) -> str | None:
        """The first job of a run once it has saved something; None before."""
        jobs = self.jobs_of(run)
        return jobs[0]["id"] if jobs and self.checkpoint(run).exists() else None

    def checkpoint(self, run: str) -> Path:
        """Where a run's checkpoint is while it trains."""
        return self.folder / in_results("checkpoints", run) / "checkpoint.pt"

    def job_log(self, job: str) -> str:
        """What Slurm kept of a job's words; Snakemake deletes those of jobs that went well."""
        (file,) = (self.folder / ".snakemake" / "slurm_logs").rglob(f"{job}.log")
        return file.read_text()

    def train_log(self, run: str) -> str:
        """What the last training of one run has said; Snakemake deletes it before a retry."""
        file = self.folder / f"{in_results('logs/train', run)}.log"
        return file.read_text() if file.exists() else ""

    def until(self, what: Callable[[], object], seconds: float = 120, told: str = "") -> object:
        """Wait until ``what()`` is true, and return it; no longer than the last command runs."""
        deadline = time.monotonic() + seconds
        while not (value := what()):
            failed = self.running[-1].poll() not in (None, 0, -signal.SIGKILL)
            in_time = time.monotonic() < deadline and not failed
            assert in_time, f"{told or what} never came\n{self.said()}"
            time.sleep(0.3)
        return value

    def ends(self, process: subprocess.Popen, code: int = 0, seconds: float = 900) -> None:
        """Wait for a command to end as it should."""
        try:
            assert process.wait(seconds) == code, self.said()
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {seconds} s\n{self.said()}") from None

    def measure(self, *runs: str) -> None:
        """Embed and evaluate runs without Slurm: two jobs less for each.

        Snakemake has to find nothing to train in what Slurm's jobs have left.
        """
        command = [sys.executable, "-m", "snakemake", "-c2", *map(metrics, runs)]
        done = subprocess.run(
            [*command, "--configfile", "test.yaml"], cwd=self.folder, env=self.environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "train" not in job_counts(done.stdout + done.stderr), done.stderr

    def equals_local(self, *runs: str) -> None:
        """The metrics of these runs are those of the local ones, bit for bit."""
        if not all((self.folder / metrics(run)).exists() for run in runs):
            self.measure(*runs)
        for file in map(metrics, runs):
            assert (self.folder / file).read_bytes() == (self.local / file).read_bytes(), file


def trainer_of(job: str) -> int | None:
    """The process of the training of a Slurm job; None while there is none."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            environment = (entry / "environ").read_bytes() if len(words) > 1 else b""
        except OSError:
            continue  # ended meanwhile
        if (
            words[1:2]
            and words[1].endswith(b"/train.py")
            and (f"\0SLURM_JOB_ID={job}\0".encode() in b"\0" + environment)
        ):
            return int(entry.name)
    return None


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
