"""Jobs whose time is up."""

import re

import pytest

LEAVES, STALLS = "a", "b"


@pytest.fixture(scope="module")
def over(limited):
    """The finished case."""
    limited.ends(limited.running[0], seconds=900)
    return limited


def test_a_training_saves_and_leaves_before_its_limit_and_goes_on(over):
    first, *_, last = over.jobs_of(LEAVES)
    assert first["state"] == "FAILED"  # it left by itself
    assert last["state"] == "COMPLETED"
    left = r"unfinished: the time budget of [\d.]+ minutes is used up; what was trained is saved"
    assert re.search(left, over.job_log(first["id"]))
    assert "goes on in epoch" in over.train_log(LEAVES)
    over.equals_local(LEAVES)


def test_a_retry_has_more_time(over):
    limits = [job["limit"] for job in over.jobs_of(LEAVES)]
    assert limits == ["2:00", "3:00", "5:00"][: len(limits)]
    assert f"--time-budget {limits[-1].partition(':')[0]} " in over.train_log(LEAVES)


def test_after_a_timeout_a_training_goes_on_from_its_last_checkpoint(over):
    states = [job["state"] for job in over.jobs_of(STALLS)]
    assert states == ["TIMEOUT", "COMPLETED"]
    assert "goes on in epoch" in over.train_log(STALLS)
    over.equals_local(STALLS)
