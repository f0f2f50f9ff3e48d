"""Two processes that would train one run."""

import errno
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import SCRIPTS
from training_runs import RUN, config_file, left

from dmlbench.config import resolve_config
from dmlbench.errors import TrainingError
from dmlbench.paths import LOCK_FILE
from dmlbench.training import run_lock as locks
from dmlbench.training.checkpoint import Checkpoint
from dmlbench.training.run_lock import RunLock
from dmlbench.training.session import train_run


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The smoke config in a folder of its own, which is the working directory."""
    file = config_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    return resolve_config(yaml.safe_load(file.read_text()), "test")


def holder(path: Path, pid=None, **changes) -> locks._FileSystemLock:
    """Leave a lock of another process at ``path``; returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    here = locks._here() | changes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "_here", lambda: here)
        patch.setattr(os, "getpid", lambda: pid or os.getppid())
        lock = locks._FileSystemLock(str(path), locks.LIFETIME)
    path.unlink(missing_ok=True)
    lock.lock()
    return lock


def expire(path: Path, seconds: float = locks.SLOP + 1) -> None:
    """Let the lifetime of a lock end so many seconds ago."""
    old = time.time() - seconds
    os.utime(path, (old, old))


def test_the_second_writer_stops_and_names_the_first(plan):
    run = plan.run_by_id(RUN)
    lock = holder(plan.checkpoint_folder(run) / LOCK_FILE, host="node7", job="4711", pid=12)
    told = "another process trains this run: host node7, process 12, job 4711; wait for it"
    with pytest.raises(TrainingError, match=told):
        train_run(plan, run, wait=0.1)
    assert left(plan) == [LOCK_FILE, Path(lock.claimfile).name]
    assert not plan.run_folder(run).exists()


def test_the_second_writer_waits_for_the_first(tmp_path):
    path = tmp_path / LOCK_FILE
    script = (
        "import sys, time; from pathlib import Path\n"
        "from dmlbench.training.run_lock import RunLock\n"
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


def test_who_finds_the_run_finished_trains_nothing(plan, caplog):
    caplog.set_level("INFO", "dmlbench")
    run = plan.run_by_id(RUN)
    train_run(plan, run)
    files = sorted(plan.run_folder(run).iterdir())
    first = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}
    train_run(plan, run)
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files} == first
    assert "trained already" in caplog.text
    assert left(plan) == []
    weights = plan.run_folder(run) / "model_last.safetensors"
    for spoilt in (b"spoilt", None):
        weights.write_bytes(spoilt) if spoilt else weights.unlink()
        train_run(plan, run)
        assert weights.read_bytes() == first[weights][1]
        assert weights.stat().st_mtime_ns > first[weights][0]


def test_the_lock_of_a_dead_process_is_taken_over_at_once(tmp_path, caplog):
    path = tmp_path / LOCK_FILE
    gone = subprocess.Popen(["true"])
    gone.wait()
    holder(path, pid=gone.pid)
    caplog.set_level("INFO", "dmlbench")
    with RunLock(path).held(0):
        assert locks.holder_of(path)["pid"] == os.getpid()
    assert f"took over from a process that is gone: host {platform.node()}" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_another_machine_is_taken_over_when_nobody_extends_it(tmp_path):
    path = tmp_path / LOCK_FILE
    holder(path, host="node7")
    for seconds in (-locks.LIFETIME, 0, locks.SLOP - 5):
        expire(path, seconds)
        with pytest.raises(TrainingError, match="host node7"), RunLock(path).held(0):
            pass
    expire(path)
    with RunLock(path).held(0):
        assert locks.holder_of(path)["host"] == platform.node()


def test_a_holder_extends_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.05)
    path = tmp_path / LOCK_FILE
    with RunLock(path).held(0):
        expire(path, 1000)
        assert locks.holder_of(path) is None
        time.sleep(0.5)
        assert locks.holder_of(path)["pid"] == os.getpid()
        assert path.stat().st_mtime - time.time() > locks.LIFETIME - 5
    assert locks.holder_of(path) is None


def test_a_lock_is_checked_while_it_is_extended(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.0)
    with RunLock(tmp_path / LOCK_FILE).held(0) as lock:
        for _ in range(1000):
            lock.check()
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_taken_over_writes_nothing_more(tmp_path):
    path = tmp_path / LOCK_FILE
    with RunLock(path).held(0) as lock:
        checkpoint = Checkpoint(tmp_path / "checkpoint.pt", lock=lock)
        checkpoint.save({"step": 1})
        holder(path, host="node8")
        with pytest.raises(TrainingError, match="taken over by host node8"):
            checkpoint.save({"step": 2})
    assert Checkpoint(checkpoint.path).load() == {"step": 1}
    assert path.exists()  # it is not ours to delete


@pytest.mark.parametrize("content", [b"", b"[]", b"a|b|c|d", b"\xff|x|1|2"])
def test_a_damaged_file_counts_as_a_lock_until_it_is_old(content, tmp_path):
    path, other = tmp_path / LOCK_FILE, tmp_path / "a|b|c|d"
    other.touch()
    path.write_bytes(content)
    expire(path, locks.SLOP - 5)
    told = f"nobody knows who; wait for it, or end it; if it is gone, delete {path}"
    with pytest.raises(TrainingError, match=re.escape(told)), RunLock(path).held(0):
        pass
    assert path.read_bytes() == content
    expire(path)
    with RunLock(path).held(0) as lock:
        lock.check()
    assert list(tmp_path.iterdir()) == [other]


def test_a_file_system_without_hard_links_is_told(tmp_path, monkeypatch):
    def no_links(source, target):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "link", no_links)
    told = r"cannot be locked, which takes hard links \(Operation not supported\)"
    with pytest.raises(TrainingError, match=told), RunLock(tmp_path / LOCK_FILE).held(0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_take_over_one_has_it(tmp_path):
    path = tmp_path / LOCK_FILE
    holder(path, pid=2**22 + 1)
    script = (
        "import sys, time; from pathlib import Path\n"
        "from dmlbench.errors import TrainingError\n"
        "from dmlbench.training.run_lock import RunLock\n"
        "try:\n"
        "    with RunLock(Path(sys.argv[1])).held(0): print('mine'); time.sleep(15)\n"
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
