"""Small trainings on one GPU."""

import pytest
import yaml
from slurm_case import RUNS, trained, trainer_of

FAILS, *OTHERS = RUNS


@pytest.fixture
def shards(case):
    """A checkout in which the commented lines of the profile, which share a GPU, are none."""
    file = case.folder / "slurm" / "config.yaml"
    text = file.read_text()
    start = text.index("# set-resources:\n#   train: {gpu: 0, gres:")
    end = text.index("\n\n", start)
    file.write_text(text[:start] + text[start:end].replace("# ", "") + text[end:])
    assert yaml.safe_load(file.read_text())["set-resources"]["train"]["gpu"] == 0
    return case


def test_four_trainings_share_a_gpu_and_one_that_fails_takes_none_along(shards):
    case = shards
    for run in RUNS:
        case.accident("pace", run, 0.2)
    case.accident("always_fail", FAILS, 1)
    process = case.start(*map(trained, RUNS))
    running = case.until(lambda: all_train(case), 200, "four trainings at once")
    assert {job["node"] for job in running} == {"n1"}
    assert {job["gres"] for job in running} == {"gres:shard:1"}
    devices = {gpu_of(trainer_of(job["id"])) for job in running}
    assert devices == {"0"}
    case.ends(process, code=1)
    assert {job["state"] for job in case.jobs_of(FAILS)} == {"FAILED"}
    for run in OTHERS:
        assert [job["state"] for job in case.jobs_of(run)] == ["COMPLETED"]
    case.equals_local(*OTHERS)


def all_train(case):
    jobs = [job for job in case.jobs() if job["state"] == "RUNNING" and trainer_of(job["id"])]
    return jobs if len(jobs) == len(RUNS) else None


def gpu_of(pid):
    with open(f"/proc/{pid}/environ") as file:
        environment = dict(item.partition("=")[::2] for item in file.read().split("\0"))
    return environment.get("CUDA_VISIBLE_DEVICES")
