"""A full disk, or one without inodes, under each thing that a step writes."""

import shutil
from pathlib import Path

import pytest
from small_disks import fill, small_disk, use_up_inodes
from small_pipeline import CHECKPOINTS, DATA, RESULTS, RUN, SUMMARY, files, half_written

#: Step, the folder that has no room, and one of the files that the step makes there.
WRITES = [
    ("plan", RESULTS, "config.json"),
    ("prepare", DATA, "index.parquet"),
    ("duplicates", DATA, "duplicates.parquet"),
    ("summarise", DATA, "images.png"),
    ("train", CHECKPOINTS, None),
    ("train", RUN, "run.json"),
    ("embed", RUN, "embeddings_test_last.npz"),
    ("evaluate", RUN, "metrics.json"),
    ("project", RUN, "projection_test.parquet"),
    ("illustrate", RUN, "neighbours_test.parquet"),
    ("check", SUMMARY, "check.json"),
    ("collect", SUMMARY, "metrics.parquet"),
    ("tables", f"{RESULTS}/tables", "mine.csv"),
    ("overview", f"{RESULTS}/tables", "leaderboard.csv"),
    ("figures", f"{RESULTS}/figures", "embedding_mine.pdf"),
    ("pages", f"{RESULTS}/report", "summary.html"),
    ("means", f"{RESULTS}/means", "means.json"),
]
#: What differs between two trainings.
TIMES = ("history.csv", "run.json", "history.parquet", "runs.parquet")


def check_refused(done, folder: Path, name: str) -> None:
    """One line that names the folder and says what to do; nothing half-written, no traceback."""
    assert done.code == 2, done.said
    (line,) = done.errors
    assert "No space left on device" in line
    assert name in line
    assert "make room" in line
    assert "Traceback" not in done.said
    assert half_written(folder) == []


def unmake(folder: Path, step: str, place: str, name: str | None) -> None:
    """Remove a file that a step is to make anew, as Snakemake does before it."""
    if step == "prepare":  # it takes away first what is made of the index
        shutil.rmtree(folder / place)
    elif name:
        (folder / place / name).unlink()
    if step == "train":
        (folder / RUN / "run.json").unlink(missing_ok=True)


#: The others are slow ones: they take half a minute together.
QUICK = ("train", "embed", "tables")
WRITTEN = [
    pytest.param(*write, marks=[] if write[0] in QUICK else pytest.mark.slow) for write in WRITES
]
LEFT = [0, pytest.param(4096, marks=pytest.mark.slow), pytest.param(8192, marks=pytest.mark.slow)]


@pytest.mark.parametrize("left", LEFT, ids=lambda left: f"{left} bytes left")
@pytest.mark.parametrize(("step", "place", "name"), WRITTEN)
def test_a_full_disk_is_one_line_and_with_room_it_goes_on(
    stepper, work, finished, step, place, name, left
):
    unmake(work, step, place, name)
    with small_disk(work / place, "size=8m") as disk:
        filler = fill(disk, left)
        before = {k: v for k, v in files(disk).items() if k != filler.name}
        done = stepper.do(work, step)
        if done.code:  # what it writes does not fit
            check_refused(done, work, place)
            after = files(disk)
            assert [k for k, v in before.items() if after.get(k, v) != v and k not in TIMES] == []
        filler.unlink()
        assert stepper.do(work, step).code == 0
        check_equal(disk, finished / place, name)
    assert left or done.code


def check_equal(made: Path, whole: Path, name: str | None) -> None:
    """The same files with the same bytes, but for times; prepare takes away what is made of it."""
    one, other = files(made), files(whole)
    assert {*([name] if name else [])} <= one.keys() <= other.keys()
    assert [k for k, v in one.items() if other[k] != v and Path(k).name not in TIMES] == []


@pytest.mark.slow
@pytest.mark.parametrize(("step", "place", "name"), WRITES)
def test_a_disk_without_inodes_is_one_line_and_with_them_it_goes_on(
    stepper, work, finished, step, place, name
):
    unmake(work, step, place, name)
    with small_disk(work / place, "nr_inodes=200") as disk:
        made = use_up_inodes(disk)
        check_refused(stepper.do(work, step), work, place)
        for file in made:
            file.unlink()
        assert stepper.do(work, step).code == 0
        check_equal(disk, finished / place, name)
