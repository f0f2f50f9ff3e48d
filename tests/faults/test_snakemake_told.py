"""What Snakemake is told before its first job, on the smallest pipeline."""

import json
import shutil

import numpy as np
import pytest
from conftest import job_counts, run_snakemake
from small_pipeline import NAME, RUN, begin_pipeline, files
from snakemake.persistence.file import FilePersistence

RESCORE = "download prepare pairs duplicates evaluate check collect tables overview rescore"
EMBEDDINGS = f"{RUN}/embeddings_test_last.npz"
METRICS = f"{RUN}/metrics.json"
pytestmark = pytest.mark.slow


def snakemake(folder, *arguments):
    return run_snakemake(*arguments, "--configfile", "config.yaml", cwd=folder)


def rescore(folder):
    return snakemake(
        folder, "-c1", "rescore", "--forcerun", "evaluate", "--allowed-rules", *RESCORE.split()
    )


def refused(done):
    """The one line in which it says why it does not start."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_rescoring_other_embeddings_is_refused(work):
    with np.load(work / EMBEDDINGS) as stored:
        others = {name: stored[name] for name in stored}
    name = max(others, key=lambda key: others[key].size)
    np.savez(work / EMBEDDINGS, **others | {name: others[name][::-1]})
    before = files(work / RUN)
    line = refused(rescore(work))
    assert "1 stored embeddings are not those that their metrics.json was measured on" in line
    assert EMBEDDINGS in line
    assert files(work / RUN) == before


@pytest.mark.parametrize("damage", [lambda text: text[:-9], lambda text: "[]"], ids=["cut", "[]"])
def test_rescoring_measures_damaged_metrics_anew(work, damage):
    """It is what `make status` tells one to do about them."""
    whole = (work / METRICS).read_bytes()
    (work / METRICS).write_text(damage(whole.decode()))
    done = rescore(work)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert f"{METRICS}: " in done.stderr
    assert (work / METRICS).read_bytes() == whole


def test_tables_of_a_config_without_any_run_are_refused(tmp_path):
    begin_pipeline(tmp_path, partial=True)
    line = refused(snakemake(tmp_path, "-c1", "all"))
    assert f"none of {NAME} is; leave partial out to train them" in line


def test_a_folder_of_damaged_records_is_told_and_nothing_is_taken_for_made(work):
    """A dry run, as it reads each record of what is here."""
    records = FilePersistence(path=work / ".snakemake")
    known = [RUN + name for name in ("/run.json", "/metrics.json")]
    for file, rubbish in zip(known, (b"\xff", b"[1]"), strict=True):
        records._mark_incomplete(file, None)  # makes the folders
        records._unmark_incomplete(file)
        place = records._record_path(records._metadata_path, file)
        records._io_write(records._metadata_path, {}, file)
        with open(place, "wb") as record:
            record.write(rubbish)
    shutil.rmtree(work / ".snakemake/incomplete")
    done = snakemake(work, "-n", METRICS)
    assert done.returncode == 0, done.stderr
    assert ".snakemake: 2 damaged records are removed, such as that of" in done.stderr
    counts = job_counts(done.stdout)
    assert (counts["train"], counts["evaluate"]) == (1, 1)


def test_a_result_raised_by_hand_reaches_no_table(stepper, work):
    """A dry run trusts equal times; each step that reads it does not."""
    content = json.loads((work / METRICS).read_text())
    content["metrics"][0]["value"] += 0.02
    (work / METRICS).write_text(json.dumps(content))
    for step in ("check", "collect"):
        done = stepper.do(work, step)
        assert done.code == 2, done.said
        assert "metrics.json" in done.errors[0]
