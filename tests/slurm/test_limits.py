"""Jobs whose time is up."""

import pytest

LEAVES, STALLS = "a", "b"


@pytest.fixture(scope="module")
def over(limited):
    """The finished case."""
    limited.ends(limited.running[0], seconds=500)
    return limited


def test_a_training_saves_and_leaves_before_its_limit_and_goes_on(over):
    states = [job["state"] for job in over.jobs_of(LEAVES)]
    assert states[0] == "FAILED"  # it left by itself
    assert states[-1] == "COMPLETED"
    said = over.train_log(LEAVES)
    assert "the time budget of 1 minutes is used up; the training is saved" in said
    assert "goes on in epoch" in said
    over.equals_local(LEAVES)


def test_a_retry_has_more_time(over):
    assert [job["limit"] for job in over.jobs_of(LEAVES)][:2] == ["1:00", "2:00"]
    assert "--time-budget 2 " in over.train_log(LEAVES)


def test_after_a_timeout_a_training_goes_on_from_its_last_checkpoint(over):
    states = [job["state"] for job in over.jobs_of(STALLS)]
    assert states == ["TIMEOUT", "COMPLETED"]
    assert "goes on in epoch" in over.train_log(STALLS)
    over.equals_local(STALLS)
