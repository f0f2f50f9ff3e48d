"""Jobs whose time is up."""

import pytest
from slurm_case import trained

LEAVES, STALLS = "a", "b"


@pytest.fixture(scope="module")
def limited(new_case, local):
    """Two trainings with a minute each: one would take longer, one hangs until it is killed."""
    case = new_case(local, train={"runtime": 1})
    case.accident("pace", LEAVES, 1)
    case.accident("pace", STALLS, 0.1)
    case.accident("stall", STALLS, 600)
    process = case.start(trained(LEAVES), trained(STALLS))
    case.ends(process, seconds=500)
    return case


def test_a_training_saves_and_leaves_before_its_limit_and_goes_on(limited):
    states = [job["state"] for job in limited.jobs_of(LEAVES)]
    assert states[0] == "FAILED"  # it left by itself
    assert states[-1] == "COMPLETED"
    said = limited.train_log(LEAVES)
    assert "the time budget of 1 minutes is used up; the training is saved" in said
    assert "goes on in epoch" in said
    limited.equals_local(LEAVES)


def test_a_retry_has_more_time(limited):
    assert [job["limit"] for job in limited.jobs_of(LEAVES)][:2] == ["1:00", "2:00"]
    assert "--time-budget 2 " in limited.train_log(LEAVES)


def test_after_a_timeout_a_training_goes_on_from_its_last_checkpoint(limited):
    states = [job["state"] for job in limited.jobs_of(STALLS)]
    assert states == ["TIMEOUT", "COMPLETED"]
    assert "goes on in epoch" in limited.train_log(STALLS)
    limited.equals_local(STALLS)
