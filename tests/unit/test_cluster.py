"""What is looked at before jobs go to Slurm, with commands that say what a test has them say."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_lock import holder

from dmlbench.config import resolve_config
from dmlbench.config.settings import Resources as ConfigResources
from dmlbench.data.disk import near
from dmlbench.errors import ConfigError, TrainingError, UserError
from dmlbench.paths import LOCK_FILE
from dmlbench.training.run_lock import RunLock, holder_of
from dmlbench.workflow import preflight, slurm
from dmlbench.workflow.slurm import SlurmError, has_ended, minutes_left


class Resources(dict):
    """As Snakemake has them: keys are attributes too."""

    __getattr__ = dict.__getitem__


TRAIN = {"slurm_partition": "gpu", "gpu": 1, "mem_mb": 8000, "runtime": 720}


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Sets what a command says, and how it ends; only commands set so are found besides sh's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CONF", raising=False)

    def say(command: str, output: str = "", code: int = 0, script: str = "") -> None:
        (folder / f"{command}.said").write_text(output)
        stream = " >&2" if code else ""
        file = folder / command
        file.write_text(f"#!/bin/sh\n{script}\ncat {folder}/{command}.said{stream}\nexit {code}\n")
        file.chmod(0o755)

    for command in ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun"):
        say(command)
    say("scontrol", "MinJobAge               = 300 sec\n")
    say("sinfo", "gpu 12:00:00")
    return say


def told(tmp_path, *changes, wait=0.0) -> list[str]:
    """What is said of rules that ask for :data:`TRAIN` but for these changes."""
    rules = [(each.pop("rule", "train"), Resources(TRAIN | each), 2) for each in changes or [{}]]
    return list(preflight.problems(rules, tmp_path / "out", wait))


@pytest.fixture
def no_probe(monkeypatch):
    """For what is found before a job is tried."""
    monkeypatch.setattr(preflight, "_trial", lambda *_: "")


@pytest.mark.usefixtures("no_probe")
class TestBeforeAnyJob:
    def test_nothing_is_wrong(self, says, tmp_path):
        assert told(tmp_path) == []

    def test_a_machine_without_slurm(self, says, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(SlurmError, match="scontrol: not found; this is no machine to submit"):
            told(tmp_path)

    @pytest.mark.parametrize(
        ("change", "sinfo", "line"),
        [
            ({"runtime": 721}, "gpu 12:00:00", "asks for up to 721 minutes, and partition gpu all"),
            (
                {"slurm_partition": None, "runtime": 2881},
                "cpu* 2-00:00:00\ngpu infinite",
                "asks fo",
            ),
            ({"runtime": 721}, "gpu 12:00:00\ncpu infinite", ""),  # it asked for both
            ({}, "gpu infinite", ""),
        ],
    )
    def test_a_time_that_no_partition_has(self, says, tmp_path, change, sinfo, line):
        says("sinfo", sinfo)
        found = told(tmp_path, change)
        assert len(found) == bool(line)
        assert all(each.startswith(f"train: {line}") for each in found)

    def test_what_sbatch_refuses_is_told_with_what_was_asked_for(self, says, tmp_path):
        refusal = "sbatch: error: Batch job submission failed: Invalid account\n"
        says("sbatch", f"allocation failure\n{refusal}", code=1)
        (line,) = told(tmp_path, {"gpu_model": "a100", "slurm_extra": "--comment='two words'"})
        why = "sbatch: error: Batch job submission failed: Invalid account"
        assert line.startswith(f"train: {why}; asked for is --partition=gpu -t 720 --mem 8000 ")
        assert "--gpus=a100:1" in line
        assert "'--comment=two words'" in line

    def test_one_reason_is_told_once_for_all_rules(self, says, tmp_path):
        says("sbatch", "allocation failure: no such partition\n", code=1)
        embed = {"rule": "embed"}
        (line,) = told(tmp_path, {"mem_mb": 500}, embed, {"rule": "check", "gpu": 0})
        assert line.startswith("train, embed, check: sbatch: allocation failure: no such partition")

    def test_jobs_that_are_forgotten_too_early(self, says, tmp_path):
        says("scontrol", "MinJobAge               = 120 sec\n")
        (line,) = told(tmp_path)
        assert line.startswith("Slurm forgets finished jobs after 120 s (MinJobAge)")
        says("scontrol", "MinJobAge               = 0 sec\n")  # never
        assert told(tmp_path) == []

    def test_a_controller_that_does_not_answer(self, says, tmp_path, monkeypatch):
        says("scontrol", "slurm_load_ctl_conf error: Unable to contact slurm controller\n", code=1)
        with pytest.raises(SlurmError, match=r"^scontrol: slurm_load_ctl_conf error: Unable to c"):
            told(tmp_path)
        says("scontrol", script="exec sleep 30")
        monkeypatch.setattr(slurm.ask, "__kwdefaults__", {"seconds": 0.2})
        started = time.monotonic()
        with pytest.raises(SlurmError, match=r"^scontrol: no answer from Slurm within 0 s$"):
            told(tmp_path)
        assert time.monotonic() - started < 10


class TestTrialJob:
    def submits(self, says, state: str = "", code: int = 0, script: str = "") -> None:
        """A cluster whose jobs are in ``state``, and end with ``code`` after ``script``."""
        # --test-only comes without --wait.
        job = f'case "$*" in *--wait*) {script or "true"}; exit {code};; esac'
        says("sbatch", script=job)
        says("squeue", f"{state} Priority\n" if state else "")

    def test_one_that_writes(self, says, tmp_path):
        run = 'for word; do last=$word; done; sh -c "${last#--wrap=}"'
        says("srun", script='shift 2; "$@"')
        self.submits(says, script=run)
        assert told(tmp_path, wait=30) == []
        assert list((tmp_path / "out").iterdir()) == []

    def test_one_that_fails_is_quoted(self, says, tmp_path):
        write = (
            "for word; do case $word in --output=*) echo 'no such disk' > ${word#--output=};; "
            "esac; done"
        )
        self.submits(says, code=1, script=write)
        (line,) = told(tmp_path, wait=30)
        assert line.startswith("a trial job (--partition=gpu ")
        assert line.endswith(" failed: no such disk")

    def test_one_that_cannot_even_write_its_log(self, says, tmp_path):
        self.submits(says, code=1)
        (line,) = told(tmp_path, wait=30)
        assert line.endswith(f"is {tmp_path}/out there on the node, and writable?")

    def test_one_whose_file_is_elsewhere(self, says, tmp_path, monkeypatch):
        monkeypatch.setattr(preflight, "LATENCY", 0.0)
        self.submits(says)
        (line,) = told(tmp_path, wait=30)
        assert "/out that is not here: run from a disk that this machine and the nodes" in line

    def test_one_that_hangs_is_cancelled(self, says, tmp_path, monkeypatch):
        monkeypatch.setattr(preflight, "LONGEST", 0.0)
        self.submits(says, "RUNNING", script="exec sleep 60")
        says("scancel", script=f"echo $* > {tmp_path}/cancelled")
        (line,) = told(tmp_path)
        assert " hangs: it was to write a file to " in line
        assert (tmp_path / "cancelled").read_text().startswith("--name=.dmlbench_probe_")

    def test_a_busy_cluster_is_no_mistake(self, says, tmp_path, caplog):
        self.submits(says, "PENDING", script="exec sleep 60")
        says("scancel", script=f"echo $* > {tmp_path}/cancelled")
        assert told(tmp_path) == []
        assert "has not started (Priority)" in caplog.text
        assert (tmp_path / "cancelled").read_text().startswith("--name=.dmlbench_probe_")


@pytest.mark.parametrize(
    ("limit", "number"),
    [
        ("infinite", None),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("2-01:00:30", 2940.5),
        ("12:00:00", 720),
        ("5:00", 5),
        ("0:30", 0.5),
    ],
)
def test_time_limits(limit, number):
    assert slurm.minutes(limit) == number


@pytest.mark.parametrize(("left", "minutes"), [("1:30", 1.5), ("5:00", 2), ("UNLIMITED", 2)])
def test_a_trainings_time_is_what_is_left_to_its_job(says, in_a_job, left, minutes):
    says("squeue", f"{left}\n")
    assert minutes_left(2) == minutes
    assert minutes_left(None) is None
    says("squeue", "slurm_load_jobs error: Unable to contact slurm controller", code=1)
    assert minutes_left(2) == 2


def test_a_key_of_a_rule_leaves_its_others_as_they_are(smoke_config):
    train = ConfigResources(train={"mem_mb": 16000}).train
    assert (train.gpu, train.runtime, train.mem_mb) == (1, 720, 16000)
    smoke_config["resources"] = {"train": {"mem": 1}}
    with pytest.raises(ConfigError, match="did you mean 'mem_mb'"):
        resolve_config(smoke_config, "test")


def test_each_try_asks_for_more_up_to_a_limit():
    resources = ConfigResources(train={"mem_mb": 1000, "runtime": 10}, max_runtime=12, growth=1.5)
    assert [resources.grown("train", "mem_mb", attempt) for attempt in (1, 2, 3)] == [
        1000,
        1500,
        2250,
    ]
    assert [resources.grown("train", "runtime", attempt) for attempt in (1, 2, 3)] == [10, 12, 12]
    same = ConfigResources(train={"runtime": 10}, max_runtime=5, growth=1)
    assert [same.grown("train", "runtime", attempt) for attempt in (1, 2)] == [10, 10]


# Which Snakemake has jobs there


def trace(folder: Path, **changes) -> Path:
    """What a Snakemake leaves that gives jobs to a cluster."""
    log = folder / "snakemake.log"
    log.write_text("host: here\nSLURM run ID: dmlbench_0a1b\nBuilding DAG of jobs...\n")
    file = folder / "cluster.json"
    slurm.record_head(file, [str(log)])
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return file


def test_a_snakemake_that_lives_is_left_alone(tmp_path):
    assert slurm.ended_head(tmp_path / "cluster.json") is None
    with pytest.raises(UserError, match=f"runs this config already, as process {os.getpid()}"):
        slurm.ended_head(trace(tmp_path))


def test_one_of_another_machine_cannot_be_judged_but_by_its_jobs(says, tmp_path):
    file = trace(tmp_path, host="login7")
    assert slurm.ended_head(file).job_name == "dmlbench_0a1b"
    says("squeue", "11\n12\n")
    with pytest.raises(UserError, match=r"2 job\(s\) wait or run .* started on login7"):
        slurm.ended_head(file)


def test_one_that_is_gone_names_its_jobs(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert slurm.ended_head(trace(tmp_path, process=gone.pid)).job_name == "dmlbench_0a1b"
    # A new process with an old number.
    left = slurm.ended_head(trace(tmp_path, started=1.0))
    assert left.job_name == "dmlbench_0a1b"


@pytest.mark.parametrize("text", ['{"host": ', "{}", "[]", ""])
def test_a_damaged_trace_says_what_to_do(tmp_path, text):
    file = tmp_path / "cluster.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"cluster.json: damaged.*squeue --me.*delete the file"):
        slurm.ended_head(file)


def test_leftovers_are_cancelled_and_waited_for(says, tmp_path, monkeypatch):
    says("squeue", script=f'test -e {tmp_path}/cancelled || printf "11\\n12\\n"')
    says("scancel", script=f"echo $* > {tmp_path}/cancelled")
    last = slurm.ended_head(trace(tmp_path, started=1.0))
    assert slurm.cancel(last) == ["11", "12"]
    assert (tmp_path / "cancelled").read_text() == "11 12\n"
    says("squeue", "13\n")
    monkeypatch.setattr(slurm, "PATIENCE", 0.0)
    with pytest.raises(UserError, match="jobs 13 were cancelled and do not end"):
        slurm.cancel(last)


# Orphans


@pytest.fixture
def in_a_job(monkeypatch):
    """This process is in job 8, which has been requeued once."""
    for name, value in (("JOB_ID", "8"), ("RESTART_COUNT", "1"), ("CLUSTER_NAME", "big")):
        monkeypatch.setenv(f"SLURM_{name}", value)


@pytest.mark.parametrize(
    ("squeue", "ended"),
    [
        (("RUNNING\n", 0), False),
        (("COMPLETING\n", 0), False),  # it may be saving
        (("NODE_FAIL\n", 0), True),
        (("PENDING\n", 0), True),  # requeued: its first start is over
        (("slurm_load_jobs error: Invalid job id specified", 1), True),
        (("slurm_load_jobs error: Unable to contact slurm controller", 1), False),
    ],
)
def test_whether_another_job_has_ended(says, in_a_job, squeue, ended):
    says("squeue", *squeue)
    assert has_ended({"job": "7", "restarts": 0, "cluster": "big"}) is ended
    assert not has_ended({"job": "7", "restarts": 0, "cluster": "small"})


@pytest.mark.parametrize(("restarts", "ended"), [(0, True), (1, False)])
def test_an_earlier_start_of_the_same_job_has_ended(says, in_a_job, restarts, ended):
    says("squeue", "RUNNING\n")
    assert has_ended({"job": "8", "restarts": restarts, "cluster": "big"}) is ended


def test_nobody_is_an_orphan_to_a_process_outside_of_slurm(says, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    says("squeue", "NODE_FAIL\n")
    assert not has_ended({"job": "7", "restarts": 0, "cluster": "big"})


def test_the_lock_of_an_orphan_is_taken_over_though_it_lives_and_it_is_told(
    says, in_a_job, tmp_path, monkeypatch
):
    path = tmp_path / LOCK_FILE
    monkeypatch.setattr("dmlbench.training.run_lock.BEAT", 0.05)
    told = []
    with RunLock(path, lost=told.append).held(0):
        holder(path, pid=1)
        deadline = time.monotonic() + 10
        while not told and time.monotonic() < deadline:
            time.sleep(0.05)
    assert told == ["another process took this run over"]
    holder(path, job="7", restarts=0, cluster="big", pid=os.getppid())
    says("squeue", "NODE_FAIL\n")
    with RunLock(path).held(0):
        assert holder_of(path)["job"] == "8"


# Scratch


def test_a_training_reads_a_copy_of_its_images_on_the_nodes_disk(tmp_path, monkeypatch):
    folder, disk = tmp_path / "prepared", tmp_path / "disk"
    for each in (folder, disk):
        each.mkdir()
    (folder / "index.parquet").write_bytes(b"rows")
    (folder / "pixels.bin").write_bytes(b"pixels")
    monkeypatch.setenv("NODE_DISK", str(disk))
    with near(folder, "$NODE_DISK") as copy:
        assert copy.parent == disk
        assert (copy / "index.parquet").read_bytes() == b"rows"
        assert (copy / "pixels.bin").read_bytes() == b"pixels"
    assert list(disk.iterdir()) == []
    with near(folder, None) as same:
        assert same == folder
    with (
        pytest.raises(TrainingError, match="machine has no folder"),
        near(folder, f"{disk}/absent"),
    ):
        pass


def test_a_disk_that_is_too_small_is_told_and_not_used(tmp_path, monkeypatch, caplog):
    for name in ("index.parquet", "pixels.bin"):
        (tmp_path / name).write_bytes(b"12345")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=9))
    with near(tmp_path, str(tmp_path)) as folder:
        assert folder == tmp_path
    assert "reads" in caplog.text
