"""Which trainings share a job, and what becomes of the files of those that have ended."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import yaml
from conftest import SCRIPTS
from training_runs import RUN, config_file

from dmlbench.config import load_config, resolve_config
from dmlbench.training.session import train_run
from dmlbench.training.stopping import Stopping
from dmlbench.workflow.bundles import (
    forget,
    is_finished,
    keep,
    make_bundles,
    output_names,
    put_back,
)
from dmlbench.workflow.copies import run_copy


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which one run of the smoke config is trained."""
    folder = tmp_path_factory.mktemp("trained")
    file = config_file(folder, epochs=1)
    before = os.getcwd()
    os.chdir(folder)
    plan = load_config(file)
    train_run(plan, plan.run_by_id(RUN))
    yield plan
    os.chdir(before)


def test_bundles_hold_what_is_missing_in_even_parts(trained):
    missing = [run for run in trained.runs.values() if run.id != RUN]
    assert is_finished(trained, trained.run_by_id(RUN))
    assert len(missing) == 4
    assert make_bundles(trained, missing, 3) == [missing[:2], missing[2:]]
    assert make_bundles(trained, missing, 4) == [missing]
    assert make_bundles(trained, missing, 2) == [missing[:2], missing[2:]]


def test_a_bundle_has_one_dataset(smoke_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = smoke_config["experiments"]["even_odd"] | {"dataset": "mnist_even_odd"}
    smoke_config["experiments"]["other"] = other
    plan = resolve_config(smoke_config, "test")
    bundles = make_bundles(plan, plan.runs.values(), 100)
    assert sorted(len(bundle) for bundle in bundles) == [5, 5]
    assert all(len({run.dataset for run in bundle}) == 1 for bundle in bundles)


def test_kept_files_come_back_as_they_were(trained):
    run = trained.run_by_id(RUN)
    folder = trained.run_folder(run)
    names = ["run.json", *output_names(trained.selections(run))]
    before = {name: ((folder / name).read_bytes(), os.stat(folder / name)) for name in names}
    assert not put_back(trained, run)
    keep(trained, run)
    for name in names:
        (folder / name).unlink()
    assert not is_finished(trained, run)
    assert put_back(trained, run)
    assert is_finished(trained, run)
    for name, (content, facts) in before.items():
        assert (folder / name).read_bytes() == content
        assert os.stat(folder / name).st_mtime_ns == facts.st_mtime_ns
    forget(trained, run)
    assert not put_back(trained, run)


def test_files_of_another_config_do_not_come_back(trained):
    run = trained.run_by_id(RUN)
    keep(trained, run)
    (trained.run_folder(run) / "run.json").rename(trained.run_folder(run) / "put_away")
    with open("config.yaml") as file:
        config = yaml.safe_load(file)
    config["recipes"]["digits_8d"]["epochs"] = 2
    other = resolve_config(config, "test")
    assert not put_back(other, other.run_by_id(RUN))
    assert not (trained.run_folder(run) / "run.json").exists()
    (trained.run_folder(run) / "put_away").rename(trained.run_folder(run) / "run.json")
    forget(trained, run)


@pytest.mark.parametrize(
    ("work", "code"),
    [
        (lambda: None, 0),
        (partial(sys.exit, 75), 75),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
    ],
)
def test_a_copy_says_how_it_ended(work, code):
    assert run_copy(work) == code


def test_a_copy_changes_nothing_of_its_original():
    random.seed(3)
    before = random.getstate()
    assert run_copy(random.random) == 0
    assert random.getstate() == before


def test_a_copy_is_asked_to_leave_even_before_it_listens():
    def work():
        time.sleep(1)  # not listening yet
        stopping = Stopping()
        with stopping.listening():
            until = time.monotonic() + 20
            while not stopping.reason and time.monotonic() < until:
                time.sleep(0.05)
        sys.exit(75 if stopping.reason == "SIGTERM came" else 1)

    assert run_copy(work, lambda: "enough") == 75


OTHER = "digits_even_odd/digits_8d/triplet/eps/seed1"


def train_both(folder, *options):
    command = [sys.executable, SCRIPTS / "train.py", "--config", "config.yaml", "--run", RUN, OTHER]
    return subprocess.Popen(
        [str(word) for word in (*command, *options)],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )


def left_unfinished(folder, process, reason):
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 75, told
    assert "Traceback" not in told
    assert reason in told
    results = folder / "results/smoke"
    assert (results / "checkpoints" / RUN / "checkpoint.pt").exists()
    assert not (results / "runs" / OTHER).exists()


def test_a_signal_has_the_run_that_trains_saved_and_none_begun(tmp_path):
    config_file(tmp_path, epochs=2000, monitor_every=2000)
    process = train_both(tmp_path)
    history = tmp_path / "results/smoke/runs" / RUN / "history.csv"
    until = time.monotonic() + 120
    while not history.exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    left_unfinished(tmp_path, process, f"unfinished: {RUN}; what was done is saved")


@pytest.mark.slow
def test_the_time_budget_is_that_of_all_runs(tmp_path):
    config_file(tmp_path, epochs=2000, monitor_every=2000)
    process = train_both(tmp_path, "--time-budget", 0.7)
    left_unfinished(tmp_path, process, "the time budget of")
    log = tmp_path / "results/smoke/logs/train" / f"{RUN}.log"
    assert "unfinished: the time budget of" in log.read_text()
