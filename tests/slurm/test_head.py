"""Snakemake itself is killed while its jobs run."""

import sys

from slurm_case import trained

RUN, FINISHES = "a", "b"


def test_after_a_kill_of_snakemake_resume_ends_what_is_left_and_goes_on(case):
    case.accident("pace", RUN, 3)
    targets = [trained(run) for run in (RUN, FINISHES)]
    head = case.start(*targets, "--slurm-init-seconds-before-status-checks", "1")
    finished = case.folder / trained(FINISHES)
    case.until(lambda: case.job_with_checkpoint(RUN), 200)
    case.until(lambda: case.jobs_of(FINISHES), 200)
    head.kill()
    head.wait()
    # Jobs go on without it: one trains to its end, the other is still at it.
    case.until(finished.exists, 200)
    case.until(lambda: case.jobs_of(FINISHES)[0]["state"] == "COMPLETED")
    weights = (finished.parent / "model_last.safetensors").stat().st_mtime_ns

    # Unlocked by hand and started again, here or on this machine alone: refused, as two would write
    # the same files.
    snakemake = [sys.executable, "-m", "snakemake", "--configfile", "test.yaml"]
    case.ends(case.run(*snakemake, "--unlock"))
    case.ends(case.start(*targets), code=2)
    case.ends(case.run(*snakemake, "-c1", "--rerun-incomplete", *targets), code=2)
    assert case.said().count("error: 1 job(s) of a Snakemake that is gone still wait or run") == 2
    assert [job["state"] for job in case.jobs_of(RUN)] == ["RUNNING"]

    case.accident("pace", RUN, 0)
    case.ends(case.run(sys.executable, "workflow_scripts/resume.py", "--config", "test.yaml"))
    assert [job["state"] for job in case.jobs_of(RUN)] == ["CANCELLED", "COMPLETED"]
    left, _ = case.jobs_of(RUN)
    assert "unfinished: SIGTERM came; what was trained is saved" in case.job_log(left["id"])
    assert "goes on in epoch" in case.train_log(RUN)
    assert len(case.jobs_of(FINISHES)) == 1
    assert (finished.parent / "model_last.safetensors").stat().st_mtime_ns == weights
    case.equals_local(RUN, FINISHES)


def test_a_config_edited_after_the_start_concerns_no_job_of_it(case):
    head = case.start(trained(RUN))
    case.until((case.folder / "results/smoke/plan.json").exists)
    (case.folder / "test.yaml").write_text("name: [")
    case.ends(head)
    assert [job["state"] for job in case.jobs_of(RUN)] == ["COMPLETED"]
