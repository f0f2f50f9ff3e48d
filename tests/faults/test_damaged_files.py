"""Each file damaged, swapped, gone or of another run of its name, before each step that reads it.

A step names the file in one line and says what to do, or makes what it would have made of the whole
one. It never ends in a traceback, nor in another number.
"""

import itertools
import json
import shutil

import pytest
import yaml
from small_pipeline import (
    BASE,
    CHECKPOINTS,
    CONTROL,
    DATA,
    OPTIONS,
    RESULTS,
    RUN,
    SUMMARY,
    TRAINED,
    begin_pipeline,
    files,
    half_written,
    make_images,
)

INDEX, PIXELS = f"{DATA}/index.parquet", f"{DATA}/pixels.bin"
DUPLICATES = f"{DATA}/duplicates.parquet"
CONFIG, PLAN = f"{RESULTS}/config.json", f"{RESULTS}/plan.json"
RECORD, METRICS, HISTORY = (f"{RUN}/{n}" for n in ("run.json", "metrics.json", "history.csv"))
LAST, VAL = (f"{RUN}/embeddings_test_{selection}.npz" for selection in ("last", "val"))
WEIGHTS, OTHERS = (f"{RUN}/model_{selection}.safetensors" for selection in ("last", "val"))
CHECKPOINT = f"{CHECKPOINTS}/checkpoint.pt"
PROJECTION, NEIGHBOURS, SIMILARITIES = (
    f"{RUN}/{name}_test.parquet" for name in ("projection", "neighbours", "similarities")
)
ALL_METRICS, ALL_HISTORY, ALL_RUNS = (
    f"{SUMMARY}/{name}.parquet" for name in ("metrics", "history", "runs")
)
LEDGER, CHECK = f"{SUMMARY}/ledger.csv", f"{SUMMARY}/check.json"
TABLE = f"{RESULTS}/tables/mine.csv"

STATE = f"{RESULTS}/logs/train/{TRAINED}.state.json"

#: What each step reads.
READS = {
    "duplicates": [INDEX, PIXELS],
    "summarise": [INDEX, PIXELS, DUPLICATES],
    "train": [CONFIG, PLAN, INDEX, PIXELS, CHECKPOINT],
    "embed": [CONFIG, PLAN, INDEX, PIXELS, RECORD, WEIGHTS],
    "control": [CONFIG, PLAN, INDEX],
    "evaluate": [CONFIG, PLAN, INDEX, DUPLICATES, RECORD, LAST, VAL],
    "project": [PLAN, INDEX, LAST],
    "illustrate": [PLAN, INDEX, LAST],
    "check": [CONFIG, PLAN, RECORD, METRICS, HISTORY, STATE],
    "collect": [CONFIG, PLAN, RECORD, METRICS, HISTORY],
    "tables": [PLAN, ALL_METRICS, ALL_RUNS, LEDGER],
    "overview": [ALL_METRICS, LEDGER],
    "cost": [ALL_HISTORY, ALL_RUNS],
    "figures": [INDEX, PIXELS, ALL_METRICS, ALL_HISTORY, PROJECTION, NEIGHBOURS, SIMILARITIES],
    "pages": [PLAN, ALL_METRICS, ALL_HISTORY, ALL_RUNS, CHECK, TABLE, RECORD, METRICS],
    "means": [PLAN, TABLE],
}
#: A file of the same kind, for each that has one.
TWINS = {
    STATE: f"{RESULTS}/runs/{CONTROL}/metrics.json",
    INDEX: "other/index.parquet",
    PIXELS: "other/pixels.bin",
    RECORD: f"{RESULTS}/runs/{CONTROL}/run.json",
    METRICS: f"{RESULTS}/runs/{CONTROL}/metrics.json",
    LAST: VAL,
    VAL: LAST,
    WEIGHTS: OTHERS,
    ALL_METRICS: ALL_HISTORY,
    ALL_HISTORY: ALL_RUNS,
    ALL_RUNS: ALL_METRICS,
    NEIGHBOURS: SIMILARITIES,
    PROJECTION: NEIGHBOURS,
    SIMILARITIES: PROJECTION,
    CONFIG: "other/config.json",
    PLAN: "other/plan.json",
    DUPLICATES: NEIGHBOURS,
    CHECKPOINT: WEIGHTS,
}
#: The same file of another config with runs of the same names, or of a dataset of the same name.
NAMESAKES = {
    **dict.fromkeys((RECORD, METRICS, HISTORY, LAST, VAL, WEIGHTS), "another"),
    **dict.fromkeys((PROJECTION, NEIGHBOURS, SIMILARITIES), "another"),
    **dict.fromkeys((ALL_METRICS, ALL_HISTORY, ALL_RUNS), "another"),
    DUPLICATES: "elsewhere",
}
#: Steps that look at no pixels here, so that another index gives other output; what reads that.
OF_OTHER_IMAGES = {("duplicates", INDEX): "summarise", ("control", INDEX): "evaluate_control"}
#: No file of these knows what it holds, and git compares them: a flipped bit is a changed letter.
PLAIN = (LEDGER, CHECK, TABLE)
TIMES = ("history.csv", "run.json", "history.parquet", "runs.parquet")


def cut(work, file):
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])


def cut_a_little(work, file):
    file.write_bytes(file.read_bytes()[:-7])


def emptied(work, file):
    file.write_bytes(b"")


def zeros(work, file):
    """As a power cut leaves it on some file systems: the length is right."""
    file.write_bytes(bytes(file.stat().st_size))


def gone(work, file):
    file.unlink()


def swapped(work, file):
    shutil.copyfile(work / TWINS[str(file.relative_to(work))], file)


def namesakes(work, file):
    name = str(file.relative_to(work))
    shutil.copyfile(work.parent / NAMESAKES[name] / name, file)


def flip(place):
    """A bit is another one, at a share of the file's length."""

    def flipped(work, file):
        content = bytearray(file.read_bytes())
        content[int(place * (len(content) - 1))] ^= 1
        file.write_bytes(content)

    flipped.__name__ = f"flipped at {place}"
    return flipped


FLIPS = [flip(place) for place in (0.1, 0.5, 0.9)]
DAMAGES = [cut, cut_a_little, emptied, zeros, gone, swapped, namesakes, *FLIPS]
#: The others are slow ones, as there are many.
QUICK = {
    (flip_, file)
    for flip_, file in itertools.product(
        (cut, FLIPS[1], swapped), (LAST, WEIGHTS, ALL_METRICS, CHECKPOINT, PLAN)
    )
}
QUICK |= {(namesakes, file) for file in (LAST, ALL_METRICS, DUPLICATES, PROJECTION)}
QUICK |= {(emptied, STATE)}


def cases():
    for (step, read), damage in itertools.product(READS.items(), DAMAGES):
        for file in read:
            if (damage is swapped and file not in TWINS) or (damage in FLIPS and file in PLAIN):
                continue
            if damage is namesakes and file not in NAMESAKES:
                continue
            if (damage, file) == (gone, CHECK):  # the pages may be made without it
                continue
            slow = [] if (damage, file) in QUICK else [pytest.mark.slow]
            name = f"{step}-{file.removeprefix(RESULTS)}-{damage.__name__}"
            yield pytest.param(step, file, damage, marks=slow, id=name)


@pytest.fixture(scope="session")
def elsewhere(stepper, tmp_path_factory):
    """Plan and prepared data of other images and another recipe."""
    folder = tmp_path_factory.mktemp("elsewhere")
    recipe = BASE["recipes"]["tiny"] | {"batch_size": 4}
    begin_pipeline(folder, recipes={"tiny": recipe})
    shutil.rmtree(folder / "images")
    make_images(folder / "images", seed=1)
    # A class for training has an image of one for the test.
    shutil.copyfile(folder / "images/class0/0.png", folder / "images/class5/0.png")
    for step in ("plan", "prepare", "duplicates"):
        assert stepper.do(folder, step).code == 0
    return folder


@pytest.fixture(scope="session")
def another(stepper, finished, tmp_path_factory):
    """The pipeline of another recipe on the same images; its runs have the same names."""
    folder = tmp_path_factory.mktemp("another") / "work"
    shutil.copytree(finished, folder)
    recipe = BASE["recipes"]["tiny"] | {"batch_size": 4}
    (folder / "config.yaml").write_text(yaml.safe_dump(BASE | {"recipes": {"tiny": recipe}}))
    first, last = (list(OPTIONS).index(step) for step in ("train", "collect"))
    for step in ("plan", *list(OPTIONS)[first : last + 1]):
        done = stepper.do(folder, step)
        assert done.code == 0, f"{step}: {done.said}"
    return folder


@pytest.fixture(scope="session")
def halfway(stepper, finished, tmp_path_factory):
    """The checkpoint of a training whose weights could not be written."""
    folder = tmp_path_factory.mktemp("halfway") / "work"
    shutil.copytree(finished, folder)
    (folder / RUN / "run.json").unlink()
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()
    done = stepper.do(folder, "train")
    assert done.code == 2, done.said
    return folder / CHECKPOINT


@pytest.mark.parametrize(("step", "file", "damage"), list(cases()))
def test_a_damaged_file_is_one_line_or_changes_nothing(
    request, stepper, work, finished, elsewhere, halfway, step, file, damage
):
    if damage is namesakes:
        source = request.getfixturevalue(NAMESAKES[file])
        (work.parent / NAMESAKES[file]).symlink_to(source)
    (work / "other").mkdir()
    for source in (elsewhere / DATA, elsewhere / RESULTS):
        for each in (f for f in source.iterdir() if f.is_file()):
            shutil.copyfile(each, work / "other" / each.name)
    if step == "train":
        (work / RUN / "run.json").unlink()
        shutil.copyfile(halfway, work / CHECKPOINT)
    if file == STATE:  # what became of a run that is not finished
        (work / RUN / "run.json").unlink()
        (work / STATE).write_text(json.dumps({"state": "diverged", "reason": "the loss is nan"}))
    damage(work, work / file)
    done = stepper.do(work, step)
    assert "Traceback" not in done.said, done.said
    assert half_written(work) == []
    if done.code:
        assert done.code == 2, done.said
        assert done.errors
        place, _, name = file.rpartition("/")
        assert any(word in done.errors[0] for word in (name, place, TRAINED)), done.errors
        return
    made, whole = files(work), files(finished)
    changed = {k for k, v in made.items() if k in whole and whole[k] != v} - {file}
    if changed and step == "pages" and file in (RECORD, METRICS):  # so does the page of states
        assert TRAINED in (work / RESULTS / "report/summary.html").read_text()
        return
    if step == "check" and LEDGER in changed:  # it says that the run is not there
        lines = (work / LEDGER).read_text().splitlines()
        assert [line for line in lines if line.startswith(TRAINED) and ",ok," not in line]
        return
    if changed and (step, file) in OF_OTHER_IMAGES:
        # It says which images it is of, so the next step refuses it once the index is mended.
        shutil.copyfile(finished / file, work / file)
        done = stepper.do(work, OF_OTHER_IMAGES[step, file])
        assert done.code == 2, done.said
        assert done.errors
        return
    assert {k for k in changed if not k.endswith(TIMES)} == set(), done.said
