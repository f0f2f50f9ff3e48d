"""A clock that jumps while a step works, by libfaketime: same bytes, no deadlock, nothing lost.

What jumps is the time of day. The clock that counts seconds goes on, as when a real one is set.
"""

import re
import threading
from pathlib import Path

import pytest
from small_pipeline import RESULTS, RUN, TRAINED, Stepper, files, half_written

from dmlbench.workflow.job_records import read_state

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
DAY = 86400
TIMES = ("history.csv", "run.json", "history.parquet", "runs.parquet")
JUMPS = {"forwards": (0, DAY), "backwards": (0, -DAY), "to and fro": (-DAY, DAY)}
#: What each step makes anew.
MAKES = {"train": "run.json", "embed": None, "evaluate": "metrics.json", "collect": None}
#: Seconds between two jumps; a step takes tenths.
EVERY = 0.02


def library():
    """The path of libfaketime; None where it is not installed."""
    found = [file for place in LIBRARIES for file in Path("/").glob(place[1:])]
    return str(found[0]) if found else None


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """The file that says by how much the clock is wrong."""
    file = tmp_path_factory.mktemp("clock") / "offset"
    file.write_text("+0\n")
    return file


@pytest.fixture(scope="module")
def stepper_with_clock(clock):
    """A stepper whose steps have that clock."""
    if not library():
        pytest.skip("libfaketime is not installed (Debian: faketime)")
    environment = {
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",  # a disk has a clock of its own
    }
    made = Stepper(environment)
    yield made
    made.close()


@pytest.fixture
def jumping(clock):
    """Have the clock jump between two places, again and again, until the test ends."""
    ended = threading.Event()
    threads = []

    def begin(places):
        def jump():
            turn = 0
            while not ended.wait(EVERY):
                turn += 1
                # In place and of one length, as it is read at any moment.
                with clock.open("r+") as file:
                    file.write(f"{places[turn % 2]:+08d}\n")

        threads.append(threading.Thread(target=jump))
        threads[-1].start()

    yield begin
    ended.set()
    for thread in threads:
        thread.join()
    clock.write_text("+0\n")


@pytest.mark.slow
@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("step", MAKES)
def test_a_clock_that_jumps_changes_no_byte(
    stepper_with_clock, jumping, work, finished, step, jump
):
    if MAKES[step]:
        (work / RUN / MAKES[step]).unlink()
    jumping(JUMPS[jump])
    log = work / RESULTS / "logs" / step / f"{TRAINED}.log"
    # A budget of an hour is used up by no jump, and nobody is waited for.
    more = {"time_budget": 60.0} if step == "train" else {}
    done = stepper_with_clock.do(work, step, log=log, **more)
    assert done.code == 0, done.said
    assert "unfinished" not in done.said
    assert read_state(log) is None
    assert half_written(work) == []
    made, whole = files(work), files(finished)
    assert made.keys() == whole.keys()
    assert [k for k, v in made.items() if whole[k] != v and not k.endswith(TIMES)] == []


@pytest.mark.slow
@pytest.mark.parametrize("days", [1, -1])
def test_an_interrupted_training_goes_on_by_another_clock(
    stepper_with_clock, clock, work, finished, days
):
    """It is set between two steps: the lock and the checkpoint that are left are a day off."""
    (work / RUN / "run.json").unlink()
    weights = work / RUN / "model_last.safetensors"
    weights.unlink()
    weights.mkdir()
    log = work / RESULTS / "logs/train" / f"{TRAINED}.log"
    assert stepper_with_clock.do(work, "train", log=log).code == 2
    weights.rmdir()
    clock.write_text(f"{days * DAY:+d}\n")
    try:
        done = stepper_with_clock.do(work, "train", log=log)
    finally:
        clock.write_text("+0\n")
    assert done.code == 0, done.said
    assert re.search("goes on (in|after) epoch", log.read_text()), log.read_text()
    made, whole = files(work), files(finished)
    assert [k for k, v in made.items() if whole.get(k) != v and not k.endswith(TIMES)] == []
