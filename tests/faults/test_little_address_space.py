"""A limit of memory by ``ulimit -v``: calls fail, where the kernel kills by a control group.

Libraries do not fit, threads do not begin, arrays have no room: one line, or the same bytes.
"""

import resource
import signal
import threading
from contextlib import suppress
from os import kill
from pathlib import Path

import pytest
from small_pipeline import RESULTS, RUN, SUMMARY, TRAINED, files, half_written

TIMES = ("history.csv", "run.json", "history.parquet", "runs.parquet")
#: What each step makes anew.
MAKES = {
    "train": f"{RUN}/run.json",
    "embed": f"{RUN}/embeddings_test_last.npz",
    "evaluate": f"{RUN}/metrics.json",
    "collect": f"{SUMMARY}/metrics.parquet",
}
#: Megabytes that a step may take beside those of the process it is a copy of.
ROOM = (1, 2, 4, 8, 16, 24, 32)
WAIT = 60


def taken(process: int) -> int:
    """The bytes of the address space of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[0])
    return pages * resource.getpagesize()


@pytest.fixture
def small(stepper):
    """Do a step in so many megabytes; one that hangs is killed."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("only Linux says what address space a process takes")

    def do(work, step, megabytes, **options):
        most = taken(stepper.process) + (megabytes << 20)
        child = stepper.begin(work, step, how={"limits": {"RLIMIT_AS": most}}, **options)
        hangs = threading.Timer(WAIT, end, [child])
        hangs.start()
        try:
            return stepper.end()
        finally:
            hangs.cancel()

    return do


def end(process):
    with suppress(ProcessLookupError):
        kill(process, signal.SIGKILL)


def cases():
    for step in MAKES:
        for megabytes in ROOM:
            quick = (step, megabytes) in (("embed", 4), ("train", 16))
            yield pytest.param(step, megabytes, marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize(("step", "megabytes"), list(cases()))
def test_what_has_no_room_is_one_line_and_goes_on_with_room(
    stepper, small, work, finished, step, megabytes
):
    (work / MAKES[step]).unlink()
    log = work / RESULTS / "logs" / step / f"{TRAINED}.log"
    done = small(work, step, megabytes, log=log)
    assert "Traceback" not in done.said, done.said
    assert half_written(work) == []
    if done.code == 2:
        (line,) = done.errors
        assert "out of memory" in line or "no process or thread can be started" in line
    else:  # OpenBLAS ends a process with words of its own
        assert done.code == 0 or "OpenBLAS error: Memory allocation" in done.said, done
    assert stepper.do(work, step, log=log).code == 0
    made, whole = files(work), files(finished)
    assert made.keys() == whole.keys()
    assert [k for k, v in made.items() if whole[k] != v and not k.endswith(TIMES)] == []
