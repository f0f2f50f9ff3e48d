"""What became of each planned run, told from what its jobs left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import SCRIPTS
from made_results import record_of

from dmlbench import paths
from dmlbench.checking.ledger import OK, STATES, ledger, write_ledger
from dmlbench.config import resolve_config
from dmlbench.errors import DataError, DivergedError, OutOfMemoryError, Unfinished
from dmlbench.workflow import job_records as jobs
from dmlbench.workflow.job_records import noted, read_state, state_file


@pytest.fixture
def plan(smoke_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return resolve_config(smoke_config, "test")


@pytest.fixture
def run(plan):
    return next(iter(plan.runs.values()))


def finish(plan, run):
    folder = plan.run_folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(record_of(plan, run)))
    (folder / paths.METRICS_FILE).write_text("{}")
    (folder / "history.csv").write_text("epoch,steps,loss\n1,9,0.1\n")
    return folder


def cell_of(plan, run):
    return next(c for c in ledger(plan) if c.run == run)


def log_of(plan, run, step="train"):
    return paths.log_in(Path(paths.results(plan.benchmark.name)), step, run.id)


class CudaOutOfMemoryError(RuntimeError):
    """Named as PyTorch's."""


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DivergedError("loss is nan"), "diverged"),
        (OutOfMemoryError("batch_size 512 does not fit"), "out of memory"),
        (MemoryError(), "out of memory"),
        (CudaOutOfMemoryError("CUDA out of memory"), "out of memory"),
        (
            Unfinished("the time budget of 5 minutes is used up; the training is saved"),
            "out of time",
        ),
        (Unfinished("SIGINT came; the training is saved"), "missing"),
        (KeyboardInterrupt(), "missing"),
        (DataError("pixels.bin is missing"), "failed"),
        (ZeroDivisionError("a bug"), "failed"),
    ],
)
def test_what_ended_a_job_is_its_runs_state(plan, run, error, state):
    with pytest.raises(type(error)), noted(log_of(plan, run)):
        raise error
    cell = cell_of(plan, run)
    assert (cell.state, cell.step) == (state, "train")
    assert cell.state in STATES
    assert cell.reason == (str(error) or type(error).__name__)
    others = [c for c in ledger(plan) if c.run != run]
    assert {(c.state, c.reason) for c in others} == {("missing", "not run yet")}


def test_a_measured_run_is_ok_until_its_settings_change(plan, run, smoke_config):
    folder = finish(plan, run)
    assert cell_of(plan, run).state == OK
    smoke_config["recipes"]["digits_8d"]["epochs"] += 1
    cell = cell_of(resolve_config(smoke_config, "test"), run)
    assert (cell.state, cell.reason) == ("missing", "trained with other settings than the config's")
    (folder / paths.METRICS_FILE).unlink()
    assert cell_of(plan, run).reason == "trained, not measured yet"
    with pytest.raises(DataError), noted(log_of(plan, run, "evaluate")):
        raise DataError("the embeddings hold NaN")
    assert cell_of(plan, run).step == "evaluate"
    (folder / "run.json").write_text("{")
    assert "damaged" in cell_of(plan, run).reason


def test_a_job_counts_as_running_while_it_is_heard_of(plan, run, monkeypatch):
    monkeypatch.setattr(jobs, "BEAT", 0.05)
    log = log_of(plan, run)
    with noted(log):
        assert cell_of(plan, run).state == "running"
        old = time.time() - 2 * jobs.DEAD
        os.utime(state_file(log), (old, old))
        time.sleep(0.5)
        assert cell_of(plan, run).state == "running"
    assert read_state(log) is None
    assert not state_file(log).exists()


@pytest.mark.parametrize(
    "content",
    ["", "null", "[]", '{"state": "runni', '{"state": 5, "reason": ""}', '{"state": "asleep"}'],
)
def test_a_damaged_state_is_a_failed_job_with_its_file(plan, run, content):
    file = state_file(log_of(plan, run))
    file.parent.mkdir(parents=True)
    file.write_text(content)
    cell = cell_of(plan, run)
    assert (cell.state, cell.step) == ("failed", "train")
    assert str(file) in cell.reason
    assert cell.reason.endswith("delete it, and run again")


def test_a_state_may_hold_more_than_is_asked(plan, run):
    file = state_file(log_of(plan, run))
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"state": "diverged", "reason": "nan", "epoch": 3}))
    assert (cell_of(plan, run).state, cell_of(plan, run).reason) == ("diverged", "nan")


@pytest.mark.parametrize(
    ("key", "value"),
    [("images", 5), ("images", {"never_drawn": 2}), ("outputs", []), ("run", {}), ("data", None)],
)
def test_a_record_of_another_form_is_a_failed_run(plan, run, key, value):
    folder = finish(plan, run)
    (folder / "run.json").write_text(json.dumps(record_of(plan, run) | {key: value}))
    cell = cell_of(plan, run)
    assert cell.state == "failed"
    assert f"run.json: {key}" in cell.reason


def test_a_killed_job_failed_without_a_word(plan, run):
    log = log_of(plan, run)
    code = (
        "import sys, time; from pathlib import Path\n"
        "from dmlbench.workflow.job_records import noted\n"
        "with noted(Path(sys.argv[1])): print('now', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(log)], stdout=subprocess.PIPE, env=environment
    ) as job:
        job.stdout.readline()
        job.send_signal(signal.SIGKILL)
    assert cell_of(plan, run).state == "running"  # it may be on another machine
    old = time.time() - 2 * jobs.DEAD
    os.utime(state_file(log), (old, old))
    cell = cell_of(plan, run)
    assert (cell.state, cell.reason) == ("failed", jobs.KILLED)


def test_scripts_leave_their_state_and_the_ledger_is_a_table(plan, run):
    log = log_of(plan, run)
    code = (
        "import argparse; from dmlbench import cli; from dmlbench.errors import DivergedError\n"
        "def main(args): raise DivergedError('epoch 2: the loss is nan')\n"
        "cli.run(main, cli.parser(''))"
    )
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run([sys.executable, "-c", code, "--log", str(log)], env=environment)
    assert done.returncode == 2
    path = Path(paths.ledger("smoke"))
    write_ledger(ledger(plan), path)
    table = pd.read_csv(path).set_index("run")
    assert len(table) == len(plan.all_runs)
    assert table.loc[run.id, "state"] == "diverged"
    assert table.loc[run.id, "log"] == str(log)


#: As after ``ulimit -v``: room for small things, not for a thread.
FULL = (
    "import resource, threading; "
    "size = 4096 * int(open('/proc/self/statm').read().split()[0]) + (4 << 20); "
    "resource.setrlimit(resource.RLIMIT_AS, (size, size))"
)


@pytest.mark.parametrize(
    ("fault", "told", "state"),
    [
        ("bytearray(1 << 60)", "error: out of memory", "out of memory"),
        (
            "open('/dev/full', 'w', 1).write('a line\\n')",
            "No space left on device; make room",
            "failed",
        ),
        (f"{FULL}; threading.Thread().start()", "error: no process or thread can be", "failed"),
    ],
)
def test_a_machine_that_has_no_room_is_one_line_in_every_step(plan, run, fault, told, state):
    log = log_of(plan, run, "embed")
    code = f"from dmlbench import cli\ndef main(args): {fault}\ncli.run(main, cli.parser(''))"
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", code, "--log", str(log)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert cell_of(plan, run).state == state
