"""Leaving in time; memory that does not suffice; who else is told of each epoch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from conftest import SCRIPTS
from training_runs import LOSSES, RUN, config_file, trained_in_parts

from dmlbench import paths
from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError, LeaveNow
from dmlbench.training.run_lock import RunLock
from dmlbench.training.session import make_writers
from dmlbench.training.stopping import Stopping


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The smoke config in a folder of its own, which is the working directory."""
    file = config_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    return resolve_config(yaml.safe_load(file.read_text()), "test")


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
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:  # schedulers ask more than once
        process.send_signal(number)
        time.sleep(0.05)
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 75
    assert "Traceback" not in told
    assert f"unfinished: {number.name} came; what was trained is saved" in told
    folder = tmp_path / "results/smoke/checkpoints" / RUN
    saved = torch.load(folder / paths.CHECKPOINT_FILE, weights_only=True)["state"]["progress"]
    assert saved["epoch"] >= 2
    assert not (folder / paths.LOCK_FILE).exists()


def test_a_closed_terminal_makes_it_save_but_not_under_nohup(tmp_path):
    """A real one: what writes to it fails from then on."""
    config_file(tmp_path, epochs=2000, monitor_every=2000)
    command = [sys.executable, SCRIPTS / "train.py", "--config", "config.yaml", "--run", RUN]
    history = tmp_path / "results/smoke/runs" / RUN / "history.csv"
    for nohup in (True, False):
        process, terminal = os.forkpty()
        if process == 0:
            os.chdir(tmp_path)
            os.environ["PYTHONPATH"] = str(SCRIPTS)
            signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
            os.execv(sys.executable, [str(word) for word in command])
        history.unlink(missing_ok=True)
        until = time.monotonic() + 60
        while not history.exists() and time.monotonic() < until:
            time.sleep(0.05)
        os.close(terminal)
        if nohup:
            epochs = len(history.read_text().splitlines())
            while len(history.read_text().splitlines()) < epochs + 5 and time.monotonic() < until:
                time.sleep(0.05)
            assert time.monotonic() < until
            os.kill(process, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 75
        assert (tmp_path / "results/smoke/checkpoints" / RUN / paths.CHECKPOINT_FILE).exists()


def test_a_signal_is_obeyed_at_once_while_it_waits_for_another_writer(tmp_path):
    config_file(tmp_path)
    lock = RunLock(tmp_path / "results/smoke/checkpoints" / RUN / paths.LOCK_FILE)
    with lock.held(0):
        process = train_script(tmp_path, "--wait", 600)
        for line in process.stderr:
            if "waiting for another process" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert "unfinished: SIGTERM came" in process.communicate(timeout=30)[1]
        assert process.returncode == 75
        lock.check()  # still held by this process


@pytest.mark.parametrize(
    ("minutes", "kept"),  # seconds for saving: at most 15 and a twentieth, itself at most 300
    [(1, 15 + 3), (0.2, 3 + 0.6), (60, 15 + 180), (720, 15 + 300)],
)
def test_a_time_budget_ends_before_the_schedulers(minutes, kept, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("dmlbench.training.stopping.time.monotonic", lambda: clock[0])
    stopping = Stopping(minutes)
    clock[0] += 60 * minutes - kept
    stopping.check()
    clock[0] += 0.001
    with pytest.raises(LeaveNow, match=f"the time budget of {minutes:g} minutes is used up"):
        stopping.check()


def test_a_time_budget_is_kept(tmp_path):
    config_file(tmp_path, epochs=100_000, monitor_every=100_000)
    process = train_script(tmp_path, "--time-budget", 0.2)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 75
    assert "the time budget of 0.2 minutes is used up; what was trained is saved" in told


def test_a_batch_that_does_not_fit_is_one_line_that_says_what_to_change(tmp_path):
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
    told = "a batch of 608 images of 64 x 64 pixels does not fit into the memory of this machine ("
    assert told in done.stderr
    assert "); lower recipe.batch_size or image_size, or take precision: bfloat16" in done.stderr
    assert "Traceback" not in done.stderr


def test_tensorboard_and_dvclive_are_told_of_each_epoch(plan, monkeypatch):
    pytest.importorskip("tensorboard", reason="not installed: dmlbench[loggers]")
    pytest.importorskip("dvclive", reason="not installed: dmlbench[loggers]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plan.benchmark.training.loggers = ["tensorboard", "dvclive"]
    trained_in_parts(plan, steps=30)
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
