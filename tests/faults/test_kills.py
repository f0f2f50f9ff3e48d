"""SIGKILL at any moment of a step: what it makes when it is done again has the same bytes."""

import os
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from small_pipeline import OPTIONS, RESULTS, RUN, SUMMARY, files, half_written

#: What each step makes.
MAKES = {
    "prepare": "data/prepared",
    "embed": f"{RUN}/embeddings_*",
    "evaluate": f"{RUN}/metrics.json",
    "project": f"{RUN}/projection_*",
    "illustrate": f"{RUN}/[ns]*_test.parquet",
    "check": f"{SUMMARY}/[cl][eh]*",
    "collect": f"{SUMMARY}/*.parquet",
    "tables": f"{RESULTS}/tables/mine*",
    "overview": f"{RESULTS}/tables/leaderboard*",
    "figures": f"{RESULTS}/figures/*",
    "pages": f"{RESULTS}/report",
    "means": f"{RESULTS}/means",
}
#: The others are slow ones, as there are many.
QUICK = ("embed", "evaluate", "collect", "tables")
MOMENTS = 4


def remake(folder: Path, step: str) -> None:
    """Remove what the step makes, as Snakemake does before it."""
    for made in folder.glob(MAKES[step]):
        shutil.rmtree(made) if made.is_dir() else made.unlink()


@pytest.fixture(scope="session")
def seconds(stepper, finished, tmp_path_factory):
    """How long a step takes, measured once."""
    measured = {}

    def of(step):
        if step not in measured:
            folder = tmp_path_factory.mktemp("measured") / "work"
            shutil.copytree(finished, folder)
            began = time.monotonic()
            assert stepper.do(folder, step).code == 0
            measured[step] = time.monotonic() - began
        return measured[step]

    return of


def killed(stepper, work: Path, step: str, wait: float) -> bool:
    """Begin a step and kill it after ``wait`` seconds; False where it had ended well before."""
    remake(work, step)
    process = stepper.begin(work, step)
    time.sleep(wait)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    code = stepper.end().code
    assert code in (0, -signal.SIGKILL)
    return code != 0


def cases():
    for step in MAKES:
        for moment in range(MOMENTS):
            slow = [] if step in QUICK and moment % 2 else [pytest.mark.slow]
            yield pytest.param(step, moment, marks=slow)


@pytest.mark.parametrize(("step", "moment"), list(cases()))
def test_a_kill_at_any_moment_changes_no_byte(stepper, work, finished, seconds, step, moment):
    # One in each part of the step, at random, but the same in every run of the tests.
    share = (moment + random.Random(f"{step} {moment}").random()) / MOMENTS
    wait = share * seconds(step)
    while not killed(stepper, work, step, wait):  # it was faster than before
        wait /= 2
    again = list(OPTIONS)[list(OPTIONS).index(step) :] if step == "prepare" else [step]
    whole = files(finished)
    # Each file that the killed one has made is a whole one.
    for path, content in files(work).items():
        if not Path(path).name.startswith(".tmp-") and step != "prepare":
            assert content == whole[path], path
    for each in again[:3]:
        assert stepper.do(work, each).code == 0
    assert half_written(work) == []
    made = files(work)
    assert {k for k, v in whole.items() if made.get(k) != v} == set()
