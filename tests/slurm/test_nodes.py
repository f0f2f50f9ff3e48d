"""Jobs that lose their node: it dies, or a more urgent job takes it."""

import os

import pytest
from slurm_case import trained, trainer_of

RUN = "a"
# Slurm takes its time to find out.
pytestmark = pytest.mark.slowest


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_when_a_node_dies_the_run_goes_on_elsewhere_and_its_orphan_ends(case, slurm):
    case.accident("pace", RUN, 3)
    process = case.start(trained(RUN))
    job = case.until(lambda: case.job_with_checkpoint(RUN), 200)
    orphan = trainer_of(job)
    dead = case.jobs_of(RUN)[0]["node"]
    slurm.kill_node(dead)
    try:
        # Slurm finds out and has the job wait for two minutes, which need not be waited for here.
        case.until(lambda: case.jobs_of(RUN)[0]["state"] == "PENDING", 120, "the requeue")
        slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
        case.until(lambda: "took over from" in case.train_log(RUN), 120, "the takeover")
        # Nobody has told the process on the dead node that it is one.
        case.until(lambda: not lives(orphan), 60, "the end of the orphan")
        case.accident("pace", RUN, 0)
        case.ends(process)
    finally:
        slurm.start_node(dead)
    jobs = case.jobs_of(RUN)
    assert [(each["id"], each["state"]) for each in jobs] == [(job, "COMPLETED")]
    assert jobs[0]["node"] != dead
    case.equals_local(RUN)


@pytest.mark.parametrize(
    ("partition", "states"),
    [("gpu", ["COMPLETED"]), ("scavenge", ["PREEMPTED", "COMPLETED"])],
    ids=["requeued", "cancelled"],
)
def test_a_preempted_training_goes_on(case, slurm, partition, states):
    case.accident("pace", RUN, 1)
    process = case.start(trained(RUN), "--set-resources", f"train:slurm_partition={partition}")
    job = case.until(lambda: case.job_with_checkpoint(RUN), 200)
    node = case.jobs_of(RUN)[0]["node"]
    urgent = ["-p", "urgent", "-w", node, "--gpus=1", "--mem=100", "-t", "2", "-D", "/tmp"]
    slurm.ask("sbatch", *urgent, "-o", "/dev/null", "--wrap", "sleep 2")
    case.until(lambda: "SIGTERM came; saving" in case.train_log(RUN), 60, "the preemption")
    case.accident("pace", RUN, 0)
    case.until(lambda: case.jobs_of(RUN)[0]["state"] != "RUNNING", 60)
    if partition == "gpu":  # else it waits for two minutes
        slurm.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    case.ends(process)
    assert [each["state"] for each in case.jobs_of(RUN)] == states
    assert "goes on in epoch" in case.train_log(RUN)
    case.equals_local(RUN)
