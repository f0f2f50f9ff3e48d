"""Several trainings in one Slurm job."""

from slurm_case import RUNS, trained

FAILS, *OTHERS = RUNS


def test_trainings_share_a_job_and_one_that_fails_takes_none_along(new_case, local):
    case = new_case(local, train={"runs_per_job": len(RUNS)})
    case.accident("always_fail", FAILS, 1)
    elsewhere = ("--set-resources", "train:slurm_partition=long")
    process = case.start(*map(trained, RUNS), *elsewhere)
    case.ends(process, code=1)
    jobs = case.jobs("train")
    # The first try and two retries; there is no other training job.
    assert [job["state"] for job in jobs] == ["FAILED"] * 3
    assert {job["comment"].split("_wildcards")[0] for job in jobs} == {"rule_train_batch_0"}
    assert {job["gpus"] for job in jobs} == {"gres:gpu:1"}
    assert {job["node"] for job in jobs} == {node_of_long(case)}
    for run in OTHERS:
        # Trained once: a retry finds them finished.
        assert (case.folder / trained(run)).exists()
        assert "epoch 3" in case.train_log(run) or case.train_log(run).count("trained already") == 2
    case.equals_local(*OTHERS)


def node_of_long(case):
    return case.cluster.ask("sinfo", "-h", "-p", "long", "-o", "%n").strip()
