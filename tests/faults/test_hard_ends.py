"""The kernel's out-of-memory killer, a folder of somebody else, and the order of a power cut."""

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from small_pipeline import CHECKPOINTS, RESULTS, RUN, SUMMARY, TRAINED, files, half_written

from dmlbench.workflow.job_records import DEAD, KILLED, read_state

CGROUPS = Path("/sys/fs/cgroup")
TIMES = ("history.csv", "run.json", "history.parquet", "runs.parquet")
NOBODY = 65534
#: Less than any step needs beside what it shares with the process it is a copy of.
FEW = 6 << 20


def same(folder, finished):
    made, whole = files(folder), files(finished)
    return [k for k, v in whole.items() if made.get(k) != v and not k.endswith(TIMES)] == []


@pytest.fixture
def little_memory():
    """A control group whose processes may have FEW bytes of their own."""
    old = CGROUPS / "memory"
    group = (old if old.is_dir() else CGROUPS) / f"dmlbench-{os.getpid()}"
    name = "memory.limit_in_bytes" if old.is_dir() else "memory.max"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        if not (group / name).exists():
            pytest.skip("this system's control groups do not limit memory")
        (group / name).write_text(str(FEW))
        swap = group / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")
        yield group
    finally:
        for _ in range(100):  # the kernel takes a while to let a dead process go
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.05)


@pytest.mark.parametrize("step", ["train", "embed", "evaluate"])
def test_what_the_kernel_kills_for_its_memory_is_told_and_goes_on(
    stepper, work, finished, little_memory, step
):
    log = work / RESULTS / "logs" / step / f"{TRAINED}.log"
    for file in {"train": ["run.json"], "embed": [], "evaluate": ["metrics.json"]}[step]:
        (work / RUN / file).unlink()
    done = stepper.do(work, step, how={"group": str(little_memory)}, log=log)
    assert done.code == -9, done.said
    state = log.with_suffix(".state.json")
    then = time.time() - DEAD - 1
    os.utime(state, (then, then))
    assert read_state(log) == ("failed", KILLED)
    assert stepper.do(work, step, log=log).code == 0
    assert read_state(log) is None
    assert half_written(work) == []
    assert same(work, finished)


PLACES = [
    ("train", CHECKPOINTS),
    ("embed", RUN),
    ("evaluate", RUN),
    ("project", RUN),
    ("check", SUMMARY),
    ("collect", SUMMARY),
    ("tables", f"{RESULTS}/tables"),
    ("figures", f"{RESULTS}/figures"),
    ("pages", SUMMARY),
    ("means", f"{RESULTS}/means"),
]
QUICK = ("train", "evaluate", "tables")


@pytest.mark.parametrize(
    ("step", "place"),
    [pytest.param(*p, marks=[] if p[0] in QUICK else pytest.mark.slow) for p in PLACES],
)
def test_results_of_somebody_else_are_one_line_for_an_ordinary_user(
    stepper, work, finished, step, place
):
    if os.geteuid():
        pytest.skip("only root can become another user")
    if step == "train":
        (work / RUN / "run.json").unlink()
    for folder in [work, *work.parents]:
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o5)
    done = stepper.do(work, step, how={"user": NOBODY}, log=None)
    assert done.code == 2, done.said
    (line,) = done.errors
    assert place in line
    assert "Permission denied" in line
    assert "Traceback" not in done.said
    assert stepper.do(work, step).code == 0
    assert same(work, finished)


@pytest.fixture
def traced(work, tmp_path):
    """The calls of a step, by strace, as pairs of a call and a file."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")

    def trace(step):
        from small_pipeline import Stepper

        out = tmp_path / "calls"
        what = "openat,write,fsync,fdatasync,rename,renameat,renameat2,fork,clone,vfork,clone3"
        stepper = Stepper(command=("strace", "-f", "-y", "-o", str(out), "-e", f"trace={what}"))
        try:
            assert stepper.do(work, step).code == 0
        finally:
            stepper.close()
        found = []
        for line in out.read_text(errors="replace").splitlines():
            if m := re.search(r"\b(fsync|fdatasync|write)\(\d+<([^>]*)>", line):
                found.append((m[1], m[2]))
            elif m := re.search(r'\brename\w*\(.*"([^"]+)", .*?"([^"]+)"', line):
                found.append(("rename", f"{m[1]} {m[2]}"))
        return found

    return trace


def places(calls, call, *parts):
    return [n for n, (c, file) in enumerate(calls) if c == call and all(p in file for p in parts)]


@pytest.mark.slow
def test_a_record_is_written_after_what_it_vouches_for_is_on_the_disk(work, traced):
    (work / RUN / "run.json").unlink()
    calls = traced("train")
    (record,) = places(calls, "rename", ".tmp-run-", "/run.json")
    assert max(places(calls, "write", ".tmp-run-")) < max(places(calls, "fsync", ".tmp-run-"))
    assert max(places(calls, "fsync", ".tmp-run-")) < record
    for name in ("model_last", "model_val", "model_test_max", "history"):
        renamed = max(places(calls, "rename", f".tmp-{name}-"))
        synced = max(places(calls, "fsync", f".tmp-{name}-"))
        assert max(places(calls, "write", f".tmp-{name}-")) < synced < renamed < record
    # The names, too: a folder is synced after each rename, and before the next one.
    folder = [n for n, (c, file) in enumerate(calls) if c == "fsync" and file.endswith(RUN)]
    renames = sorted(places(calls, "rename", f"{RUN}/"))
    for one, other in zip(renames, [*renames[1:], len(calls)], strict=True):
        assert any(one < sync < other for sync in folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "name"), [("evaluate", "metrics"), ("embed", "embeddings_test_last")]
)
def test_what_a_step_makes_is_on_the_disk_before_it_has_its_name(work, traced, step, name):
    calls = traced(step)
    (renamed,) = places(calls, "rename", f".tmp-{name}-")
    synced = max(places(calls, "fsync", f".tmp-{name}-"))
    assert max(places(calls, "write", f".tmp-{name}-")) < synced < renamed
    folder = [n for n, (c, file) in enumerate(calls) if c == "fsync" and file.endswith(RUN)]
    assert max(folder) > renamed
