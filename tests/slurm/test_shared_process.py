"""Several trainings in one Slurm job."""

from slurm_case import RUNS, trained

*OTHERS, FAILS = RUNS


def test_trainings_share_a_job_and_one_that_fails_takes_none_along(new_case, local):
    # They, and the control with shuffled labels, which is not asked for but shares their job.
    case = new_case(local, train={"runs_per_job": len(RUNS) + 1})
    case.accident("always_fail", FAILS, 1)
    elsewhere = ("--set-resources", "train:slurm_partition=long")
    process = case.start(*map(trained, RUNS), *elsewhere)
    case.ends(process, code=1)
    jobs = case.jobs("train")
    # The first try and two retries; there is no other training job.
    assert [job["state"] for job in jobs] == ["FAILED"] * 3
    assert {job["comment"].split("_wildcards")[0] for job in jobs} == {"rule_train_bundle_0"}
    assert {job["gpus"] for job in jobs} == {"gres:gpu:1"}
    # What --set-resources says of `train`: n3 is the node of that partition.
    assert {job["node"] for job in jobs} == {"n3"}
    for run in OTHERS:
        # Trained once: both retries find it finished.
        assert case.train_log(run).count("epoch 3/3") == 1
        assert case.train_log(run).count("trained already") == 2
    case.equals_local(*OTHERS)
