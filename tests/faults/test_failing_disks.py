"""A shared disk that is away (ESTALE) or fails (EIO), in each call on each kind of file."""

import errno
import itertools

import pytest
from small_pipeline import CHECKPOINTS, RUN, files, half_written

#: Step, what is part of the file's path, and the calls that it gets.
WRITES = ("open", "write", "fsync", "rename")
CALLS = {
    ("train", "checkpoint"): WRITES,
    ("train", "history"): WRITES,
    ("train", "model_val"): WRITES,
    ("train", "run"): WRITES,
    ("embed", "embeddings_test_val"): WRITES,
    ("evaluate", "metrics"): WRITES,
    ("project", "projection_test"): WRITES,
    ("collect", "metrics"): WRITES,
    ("tables", "mine"): WRITES,
    ("check", "ledger"): WRITES,
    ("pages", "summary"): WRITES,
}
READS = {
    ("train", "index.parquet"): ("open", "read"),
    ("train", "pixels.bin"): ("open",),
    ("train", "plan.json"): ("open", "read"),
    ("embed", "run.json"): ("open", "read"),
    ("embed", "model_val.safetensors"): ("open", "read"),
    ("evaluate", "embeddings_test_val.npz"): ("open", "read"),
    ("evaluate", "duplicates.parquet"): ("open", "read"),
    ("evaluate", "run.json"): ("open", "read"),
    ("check", "seed0/metrics.json"): ("open", "read"),
    ("check", "history.csv"): ("open", "read"),
    ("check", "run.json"): ("open", "read"),
    ("collect", "seed0/metrics.json"): ("open", "read"),
    ("tables", "metrics.parquet"): ("open", "read"),
    ("tables", "ledger.csv"): ("open", "read"),
    ("figures", "projection_test.parquet"): ("open", "read"),
    ("pages", "check.json"): ("open", "read"),
    ("means", "tables/mine.csv"): ("open", "read"),
}
NUMBERS = {"ESTALE": errno.ESTALE, "EIO": errno.EIO}
#: The others are slow ones, as there are many.
QUICK = {("train", "checkpoint"), ("train", "run"), ("evaluate", "metrics")}
TIMES = ("history.csv", "run.json", "history.parquet", "runs.parquet")


def cases(table, quick=frozenset()):
    """Step, part of a path, call and name of the error, of all in a table."""
    for (place, calls), name in itertools.product(table.items(), NUMBERS):
        slow = [] if place in quick and name == "ESTALE" else [pytest.mark.slow]
        for call in calls:
            yield pytest.param(*place, call, name, marks=slow)


@pytest.fixture
def failing(stepper, failing_calls):
    """Do a step in which a call fails, from the first on, as often as it is made (or so often)."""
    if failing_calls is None:
        pytest.skip("failing calls are a library for Linux, which gcc makes")

    def do(folder, step, call, part, name, first=1, many=10**6):
        fault = f"{call}:{part}:{NUMBERS[name]}:{first}:{many}"
        return stepper.do(folder, step, how={"environment": {"FAULT": fault}})

    return do


def check_told(done, part):
    """One line that names the file and says what to do."""
    assert done.code == 2, done.said
    assert "Traceback" not in done.said
    (line,) = done.errors
    assert part in line
    assert any(word in line for word in ("Stale", "Input/output"))


def check_equal(folder, finished):
    made, whole = files(folder), files(finished)
    assert made.keys() == whole.keys()
    assert [k for k, v in made.items() if whole[k] != v and not k.endswith(TIMES)] == []


@pytest.mark.parametrize(("step", "part", "call", "name"), list(cases(CALLS, QUICK)))
def test_what_cannot_be_written_is_one_line_and_then_it_goes_on(
    stepper, failing, work, finished, step, part, call, name
):
    if step == "train":
        (work / RUN / "run.json").unlink()
    where = f"/{part}." if call == "rename" else f".tmp-{part}-"
    check_told(failing(work, step, call, where, name), part)
    assert half_written(work) == []
    assert stepper.do(work, step).code == 0
    check_equal(work, finished)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "part", "call", "name"), list(cases(READS)))
def test_what_cannot_be_read_is_one_line_and_changes_nothing(
    failing, work, finished, step, part, call, name
):
    if step == "train":
        (work / RUN / "run.json").unlink()
    check_told(failing(work, step, call, part, name), part)
    assert half_written(work) == []
    if step == "train":
        return
    made, whole = files(work), files(finished)
    assert [k for k, v in made.items() if whole.get(k) != v] == []


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("call", ["open", "read"])
def test_a_checkpoint_that_cannot_be_read_is_not_trained_over(
    stepper, failing, work, finished, call, name
):
    (work / RUN / "run.json").unlink()
    left = failing(work, "train", "fsync", ".tmp-checkpoint", name, first=4)
    assert left.code == 2
    checkpoint = work / CHECKPOINTS / "checkpoint.pt"
    before = checkpoint.read_bytes()
    check_told(failing(work, "train", call, "/checkpoint.pt", name), "checkpoint.pt")
    assert checkpoint.read_bytes() == before
    done = stepper.do(work, "train")
    assert (
        "goes on in epoch"
        in (work / "results/base/logs")
        .joinpath("train/mine/tiny/triplet/easy/seed0.log")
        .read_text()
    )
    assert done.code == 0
    check_equal(work, finished)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("call", ["write"])
def test_a_log_that_cannot_be_written_is_told_and_stops_nothing(
    failing, work, finished, call, name
):
    (work / RUN / "run.json").unlink()
    done = failing(work, "train", call, "/seed0.log", name)
    assert done.code == 0
    assert done.said.count("lines are lost") == 1
    assert "Traceback" not in done.said
    check_equal(work, finished)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("first", [1, 2, 3])
def test_one_failure_of_many_of_the_checkpoint_loses_nothing(
    stepper, failing, work, finished, first, name
):
    (work / RUN / "run.json").unlink()
    check_told(failing(work, "train", "rename", "/checkpoint.pt", name, first, 1), "checkpoint")
    assert stepper.do(work, "train").code == 0
    check_equal(work, finished)
