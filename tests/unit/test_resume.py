"""A training that was interrupted ends like one that was not; nothing of it is lost or doubled."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import SCRIPTS, config_with

from dmlbench import paths
from dmlbench.config import resolve_config
from dmlbench.data.dataset import get_dataset
from dmlbench.data.prepare import prepare
from dmlbench.errors import ConfigError, DivergedError, TrainingError
from dmlbench.training import lock as locks
from dmlbench.training.checkpoint import Checkpoint
from dmlbench.training.lock import RunLock
from dmlbench.training.session import train_run
from dmlbench.training.stopping import LeaveNow, Stopping
from dmlbench.training.writers import make_writers

LOSSES = "pytorch_metric_learning.losses"
RUN = "digits_even_odd/digits_8d/triplet/eps/seed0"
TIMES = ["seconds", "images_per_second"]


def config_file(folder: Path, loss=None, sampler=None, **recipe) -> Path:
    """A config of short epochs, and the prepared digits, in ``folder``."""
    config = config_with(loss, sampler)
    config["recipes"]["digits_8d"] |= recipe
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    prepared = folder / paths.PREPARED.format(dataset="digits_even_odd", store="original")
    prepare(get_dataset("digits_even_odd"), {}, prepared)
    return file


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The smoke config in a folder of its own, which is the working directory."""
    file = config_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    return resolve_config(yaml.safe_load(file.read_text()), "test")


def left(plan) -> list[str]:
    folder = plan.checkpoint_folder(plan.run_by_id(RUN))
    return sorted(file.name for file in folder.iterdir())


def weights(plan) -> dict[str, bytes]:
    folder = plan.run_folder(plan.run_by_id(RUN))
    return {file.name: file.read_bytes() for file in folder.glob("*.safetensors")}


@pytest.mark.parametrize(
    ("loss", "sampler", "recipe"),
    [
        (
            {"type": "margin"},
            {"per_class": 16, "positive": "random", "negative": "distance"},
            {"crop": "random_resized", "image_size": 8},
        ),
        (
            {
                "type": f"{LOSSES}.CrossBatchMemory",
                "loss": {"type": f"{LOSSES}.ContrastiveLoss"},
                "memory_size": 100,
            },
            {"per_class": 16},
            {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "precision": "bfloat16"},
        ),
    ],
    ids=["margin", "memory"],
)
def test_ten_kills_at_random_moments_change_no_byte(loss, sampler, recipe, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        file = config_file(folder, loss, sampler, epochs=6, **recipe)
    seed = str(np.random.default_rng().integers(2**31))
    command = [sys.executable, Path(__file__).with_name("ten_kills.py"), file, RUN, whole, killed]
    environment = os.environ | {"PYTHONPATH": f"{SCRIPTS}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [*map(str, command), seed], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    kills, resumed = map(int, done.stdout.split())
    assert kills == 10
    assert resumed >= 3  # the others began before there was a checkpoint
    runs = [folder / "results/smoke/runs" / RUN for folder in (whole, killed)]
    names = sorted(file.name for file in runs[0].iterdir())
    assert {"metrics.json", "model_last.safetensors", "history.csv"} <= set(names)
    assert names == sorted(file.name for file in runs[1].iterdir())
    for name in set(names) - {"history.csv", "run.json"}:
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), f"{name}, {seed}"
    histories = [pd.read_csv(run / "history.csv", dtype=str) for run in runs]
    pd.testing.assert_frame_equal(*(history.drop(columns=TIMES) for history in histories))


class StopAfter(Stopping):
    """Leaves after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def check(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            self.reason = "enough"
        super().check()


def trained_in_parts(plan, monkeypatch, steps):
    run = plan.run_by_id(RUN)
    monkeypatch.setattr("dmlbench.training.session.Stopping", lambda minutes: StopAfter(steps))
    parts = 1
    while parts < 100:
        try:
            train_run(plan, run)
            return parts
        except LeaveNow:
            assert left(plan) == [paths.CHECKPOINT_FILE]
            parts += 1
    raise AssertionError("it never ends")


def test_a_training_left_at_every_place_ends_as_one_that_was_not(plan, monkeypatch):
    train_run(plan, plan.run_by_id(RUN))
    whole = weights(plan)
    # 22 steps and three measurements; it leaves inside epochs, and after each before it measures.
    assert trained_in_parts(plan, monkeypatch, steps=7) > 4
    assert weights(plan) == whole
    assert left(plan) == []


def test_the_history_can_be_read_while_it_trains(plan, monkeypatch):
    run = plan.run_by_id(RUN)
    per_epoch = -(-720 // 32)
    monkeypatch.setattr(
        "dmlbench.training.session.Stopping", lambda minutes: StopAfter(per_epoch + 5)
    )
    with pytest.raises(LeaveNow):
        train_run(plan, run)
    history = pd.read_csv(plan.run_folder(run) / "history.csv")
    assert history["epoch"].tolist() == [1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"recipes": {"digits_8d": {"optimizer": {"lr": 0.5}}}},
            "another config: recipe.optimizer.lr was 0.003, is 0.5;",
        ),
        ({"losses": {"triplet": {"margin": 0.3}}}, "another config: loss.margin was 0.2, is 0.3;"),
    ],
)
def test_a_checkpoint_of_another_config_is_refused_by_what_differs(plan, monkeypatch, change, told):
    monkeypatch.setattr("dmlbench.training.session.Stopping", lambda minutes: StopAfter(3))
    with pytest.raises(LeaveNow):
        train_run(plan, plan.run_by_id(RUN))
    config = config_with()
    for section, entries in change.items():
        for name, values in entries.items():
            for key, value in values.items():
                old = config[section][name].get(key)
                merged = {**old, **value} if isinstance(old, dict) else value
                config[section][name][key] = merged
    other = resolve_config(config, "test")
    with pytest.raises(TrainingError, match=told):
        train_run(other, other.run_by_id(RUN))
    assert left(plan) == [paths.CHECKPOINT_FILE]


def test_a_checkpoint_of_other_code_or_a_damaged_one_is_refused(tmp_path):
    identity = {"run": {"seed": 0}, "code": {"losses/triplet.py": "1", "train.py": "2"}}
    path = tmp_path / "checkpoint.pt"
    Checkpoint(path, identity).save({"step": 3})
    assert Checkpoint(path, identity).load() == {"step": 3}
    changed = identity | {"code": {"losses/triplet.py": "9", "train.py": "2"}}
    told = "another code: losses/triplet.py was '1', is '9'; .* delete "
    with pytest.raises(TrainingError, match=told):
        Checkpoint(path, changed).load()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"damaged checkpoint .*; to train from the start, del"):
        Checkpoint(path, identity).load()


def test_another_machine_is_only_told(tmp_path, caplog):
    path = tmp_path / "checkpoint.pt"
    Checkpoint(path, {"machine": {"gpu": "A"}}).save({"step": 3})
    assert Checkpoint(path, {"machine": {"gpu": "B"}}).load() == {"step": 3}
    assert "gpu was 'A', is 'B'" in caplog.text


def test_a_checkpoint_holds_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.system, ("touch /tmp/evil",))

    path = tmp_path / "checkpoint.pt"
    torch.save({"identity": {}, "state": Evil()}, path)
    with pytest.raises(TrainingError, match="damaged checkpoint"):
        Checkpoint(path, {}).load()


def test_a_diverged_loss_leaves_its_state_to_be_looked_at(plan):
    run = plan.run_by_id(RUN)
    plan.recipes["digits_8d"]["optimizer"] |= {"name": "sgd", "lr": 1e30}
    plan.recipes["digits_8d"]["normalize"] = False
    with pytest.raises(DivergedError, match=r"epoch 1, step 2.*; the state is in .*diverged\.pt"):
        train_run(plan, run)
    state = torch.load(plan.checkpoint_folder(run) / "diverged.pt", weights_only=True)["state"]
    assert state["progress"]["step"] == 1
    before, here = state["progress"]["record"]["steps"]["loss"].tolist()
    assert np.isfinite(before)
    assert not np.isfinite(here)
    assert all(v.isfinite().all() for v in state["modules"]["model"]["state"].values())


# Two writers


def holder(path: Path, **changes) -> None:
    """A lock of another process."""
    lock = RunLock(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(json.loads(lock._content()) | changes))


def test_the_second_writer_stops_and_names_the_first(plan):
    run = plan.run_by_id(RUN)
    path = plan.checkpoint_folder(run) / "lock.json"
    holder(path, host="node7", job="4711", pid=12)
    told = "another process trains this run: host node7, process 12, job 4711; wait for it"
    with pytest.raises(TrainingError, match=told):
        train_run(plan, run, wait=0.1)
    assert left(plan) == ["lock.json"]
    assert not plan.run_folder(run).exists()


def test_the_second_writer_waits_for_the_first(tmp_path):
    path = tmp_path / "lock.json"
    script = (
        "import sys, time; from pathlib import Path; from dmlbench.training.lock import RunLock\n"
        "with RunLock(Path(sys.argv[1])).held(0):\n"
        "    print('held', flush=True); time.sleep(1)"
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    first = subprocess.Popen(
        [sys.executable, "-c", script, path], stdout=subprocess.PIPE, env=environment
    )
    assert first.stdout.readline() == b"held\n"
    started = time.monotonic()
    with RunLock(path).held(30):
        assert time.monotonic() - started > 0.5
        assert first.wait() == 0
    assert not path.exists()


def test_the_lock_of_a_dead_process_is_taken_over_at_once(tmp_path, caplog):
    path = tmp_path / "lock.json"
    gone = subprocess.Popen(["true"])
    gone.wait()
    holder(path, pid=gone.pid)
    with RunLock(path).held(0):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_the_lock_of_another_machine_is_taken_over_when_nobody_touches_it(tmp_path):
    path = tmp_path / "lock.json"
    holder(path, host="node7")
    with pytest.raises(TrainingError, match="host node7"), RunLock(path).held(0):
        pass
    old = time.time() - locks.DEAD - 1
    os.utime(path, (old, old))
    with RunLock(path).held(0):
        assert json.loads(path.read_text())["host"] != "node7"


def test_a_holder_keeps_his_lock_fresh(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.05)
    path = tmp_path / "lock.json"
    with RunLock(path).held(0):
        os.utime(path, (0, 0))
        time.sleep(0.5)
        assert time.time() - path.stat().st_mtime < 1


def test_a_process_that_was_taken_over_writes_nothing_more(tmp_path):
    path = tmp_path / "lock.json"
    with RunLock(path).held(0) as lock:
        checkpoint = Checkpoint(tmp_path / "checkpoint.pt", lock=lock)
        checkpoint.save({"step": 1})
        holder(path, host="node8", token="other")
        with pytest.raises(TrainingError, match="taken over by host node8"):
            checkpoint.save({"step": 2})
    assert Checkpoint(checkpoint.path).load() == {"step": 1}
    assert path.exists()  # it is not ours to delete


def test_of_many_that_take_over_one_has_it(tmp_path):
    path = tmp_path / "lock.json"
    holder(path, pid=2**22 + 1)
    script = (
        "import sys, time; from pathlib import Path\n"
        "from dmlbench.errors import TrainingError; from dmlbench.training.lock import RunLock\n"
        "try:\n"
        "    with RunLock(Path(sys.argv[1])).held(0): print('mine'); time.sleep(2)\n"
        "except TrainingError: print('not mine')"
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", script, path]
    tried = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(5)
    ]
    said = [process.communicate()[0].strip() for process in tried]
    assert sorted(said) == ["mine", *["not mine"] * 4]


# Leaving in time


def train_script(folder, *options):
    command = [sys.executable, SCRIPTS / "train.py", "--config", "config.yaml", "--run", RUN]
    return subprocess.Popen(
        [str(word) for word in (*command, *options)],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_makes_it_save_and_leave_with_a_code_of_its_own(number, tmp_path):
    config_file(tmp_path, epochs=2000, monitor_every=2000)
    process = train_script(tmp_path)
    history = tmp_path / "results/smoke/runs" / RUN / "history.csv"
    until = time.monotonic() + 60
    while not history.exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 75
    assert f"unfinished: {number.name} came; the training is saved" in told
    folder = tmp_path / "results/smoke/checkpoints" / RUN
    saved = torch.load(folder / paths.CHECKPOINT_FILE, weights_only=True)["state"]["progress"]
    assert saved["epoch"] >= 2
    assert not (folder / "lock.json").exists()


def test_a_signal_is_obeyed_at_once_while_it_waits_for_another_writer(tmp_path):
    config_file(tmp_path)
    lock = RunLock(tmp_path / "results/smoke/checkpoints" / RUN / "lock.json")
    with lock.held(0):
        process = train_script(tmp_path, "--wait", 600)
        for line in process.stderr:
            if "waiting for another process" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert "unfinished: SIGTERM came" in process.communicate(timeout=30)[1]
        assert process.returncode == 75
        lock.check()  # still held by this process


def test_a_time_budget_is_kept(tmp_path):
    config_file(tmp_path, epochs=100_000, monitor_every=100_000)
    started = time.monotonic()
    process = train_script(tmp_path, "--time-budget", 0.1)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 75
    assert time.monotonic() - started < 20
    assert "the time budget of 0.1 minutes is used up" in told


def test_a_batch_that_does_not_fit_ends_with_the_size_that_would(tmp_path):
    """In a process that may take 1 GB more than Python with its libraries."""
    loss, shape = f"{LOSSES}.CircleLoss", {"image_size": 64, "widths": [256, 8]}
    file = config_file(tmp_path, loss, {"per_class": None}, batch_size=608, **shape)
    config = yaml.safe_load(file.read_text())
    config["experiments"]["even_odd"]["methods"] = [{"loss": "triplet", "sampler": "eps"}]
    file.write_text(yaml.safe_dump(config))
    script = (
        "import resource, runpy, sys; import dmlbench.training.session\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 30),) * 2)\n"
        f"sys.argv[0] = {str(SCRIPTS / 'train.py')!r}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", script, "--config", "config.yaml", "--run", RUN]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )
    assert done.returncode == 2, done.stderr
    assert "batch_size 608 does not fit into the memory of this machine" in done.stderr
    assert "Traceback" not in done.stderr
    fits = int(done.stderr.partition("); ")[2].split()[0])
    assert 0 < fits < 608


def test_tensorboard_and_dvclive_are_told_of_each_epoch(plan, monkeypatch):
    pytest.importorskip("tensorboard", reason="not installed: dmlbench[loggers]")
    pytest.importorskip("dvclive", reason="not installed: dmlbench[loggers]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plan.benchmark.training.loggers = ["tensorboard", "dvclive"]
    trained_in_parts(plan, monkeypatch, steps=30)
    run = plan.run_by_id(RUN)
    history = pd.read_csv(plan.run_folder(run) / "history.csv")
    folder = paths.local(paths.loggers("smoke"), **vars(run))
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert [(e.step, pytest.approx(e.value)) for e in events.Scalars("loss")] == list(
        zip(history["epoch"], history["loss"], strict=True)
    )
    live = pd.read_csv(folder / "dvclive/plots/metrics/loss.tsv", sep="\t")
    assert live["step"].tolist() == history["epoch"].tolist()
    assert live["loss"].tolist() == pytest.approx(history["loss"].tolist())


def test_a_logger_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "dvclive", None)
    with pytest.raises(ConfigError, match=r"training.loggers: dvclive is not installed; pip"):
        make_writers(["dvclive"], Path("nowhere"))
