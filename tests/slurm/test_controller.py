"""The controller of Slurm is killed while jobs run, and comes back."""

import sys
import time

import pytest
from slurm_case import trained

RUN, FINISHES = "a", "b"
#: Seconds: many questions of Snakemake for states go unanswered meanwhile.
AWAY = 10
pytestmark = pytest.mark.slowest


def weights(case, run):
    """The file of a training's weights itself: another training would put another in its place."""
    return (case.folder / trained(run)).with_name("model_last.safetensors").stat().st_ino


def test_jobs_run_on_without_a_controller_and_nothing_is_trained_twice(case, slurm):
    for run in (RUN, FINISHES):
        case.accident("pace", run, 2)
    process = case.start(trained(RUN), trained(FINISHES))
    for run in (RUN, FINISHES):
        case.until(lambda run=run: case.job_with_checkpoint(run), 300)
    slurm.kill_controller()
    try:
        # One ends while nobody can be told, the other goes on.
        case.accident("pace", FINISHES, 0)
        case.until((case.folder / trained(FINISHES)).exists, 200)
        time.sleep(AWAY)
        first = weights(case, FINISHES)
        assert not (case.folder / trained(RUN)).exists()
        assert process.poll() is None
    finally:
        slurm.start_controller()
    case.accident("pace", RUN, 0)
    case.ends(process)
    for run in (RUN, FINISHES):
        assert [job["state"] for job in case.jobs_of(run)] == ["COMPLETED"]
        assert "goes on in epoch" not in case.train_log(run)
    assert weights(case, FINISHES) == first
    case.equals_local(RUN, FINISHES)


def test_what_cannot_be_submitted_is_told_and_resume_trains_it_alone(case, slurm):
    """Each try to submit fails; the training that runs meanwhile is not lost."""
    # Snakemake chooses which goes first; the second is submitted when that has long been running.
    for each in (RUN, FINISHES):
        case.accident("pace", each, 2)
    process = case.start(trained(RUN), trained(FINISHES), "--max-jobs-per-timespan", "1/60s")
    case.until(lambda: case.jobs_of(RUN) or case.jobs_of(FINISHES), 200)
    (run,) = [run for run in (RUN, FINISHES) if case.jobs_of(run)]
    other = FINISHES if run == RUN else RUN
    case.until(lambda: case.job_with_checkpoint(run), 200)
    assert case.jobs_of(other) == []
    slurm.kill_controller()
    try:
        case.until(lambda: "SLURM sbatch failed" in case.said(), 200)
    finally:
        slurm.start_controller()
    for each in (run, other):
        case.accident("pace", each, 0)
    if process.wait(600):  # each of its tries came too early
        resume = ("workflow_scripts/resume.py", "--config", "test.yaml")
        case.ends(case.run(sys.executable, *resume))
    assert "Unable to contact slurm controller" in case.said()
    for each in (run, other):
        assert [job["state"] for job in case.jobs_of(each)] == ["COMPLETED"]
    case.equals_local(run, other)
