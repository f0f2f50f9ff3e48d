"""Four trainings in one Snakemake, an accident each: every one goes on, none harms another."""

import pytest
from slurm_case import RUNS, kill, trained, trainer_of

FAILS, SCANCELLED, KILLED, GREEDY = RUNS
#: A training takes some 800; with the accident too much for the first try, and little enough for
#: the second.
MEGABYTES, MORE = 2000, 1800


@pytest.fixture(scope="module")
def accidents(new_case, local, limited):
    """The finished case; ``limited`` only has to run meanwhile."""
    case = new_case(local, train={"mem_mb": MEGABYTES})
    for run in RUNS:
        case.accident("pace", run, 0.2)
    case.accident("fail", FAILS, 1)
    case.accident("hog", GREEDY, MORE)
    process = case.start(*map(trained, RUNS))
    ends = {
        SCANCELLED: lambda job: case.cluster.ask("scancel", job),
        KILLED: lambda job: kill(trainer_of(job)),
    }

    def all_ended():
        for run in list(ends):
            if job := case.job_with_checkpoint(run):
                ends.pop(run)(job)
        return not ends

    case.until(all_ended, 300, "a checkpoint of both runs")
    case.ends(process)
    case.measure(*RUNS)
    return case


@pytest.mark.parametrize(
    ("run", "state"),
    [(FAILS, "FAILED"), (SCANCELLED, "CANCELLED"), (KILLED, "FAILED"), (GREEDY, "FAILED")],
    ids=["fails", "scancelled", "killed", "greedy"],
)
def test_a_run_with_an_accident_goes_on_in_a_second_job(accidents, run, state):
    assert [job["state"] for job in accidents.jobs_of(run)] == [state, "COMPLETED"]
    assert "goes on in epoch" in accidents.train_log(run)
    accidents.equals_local(run)


def test_a_cancelled_training_saves_before_it_ends(accidents):
    first, _ = accidents.jobs_of(SCANCELLED)
    assert "unfinished: SIGTERM came; what was trained is saved" in accidents.job_log(first["id"])


def test_a_job_over_its_memory_is_given_more(accidents):
    asked = [job["memory"] for job in accidents.jobs_of(GREEDY)]
    assert asked == [f"{MEGABYTES}M", f"{MEGABYTES * 3 // 2}M"]


def test_each_training_has_a_gpu(accidents):
    assert {job["gpus"] for job in accidents.jobs()} == {"gres:gpu:1"}
    nodes = {job["node"] for job in accidents.jobs()}
    assert nodes == {"n1", "n2"}
