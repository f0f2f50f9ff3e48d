"""What is said of a real cluster before jobs go to it."""

import pytest

PREFLIGHT = ("preflight", "--slurm-init-seconds-before-status-checks", "1")


def errors(case) -> list[str]:
    return [line for line in case.said().splitlines() if line.startswith("error: ")]


def test_a_cluster_that_can_do_it_all(new_case):
    case = new_case()
    case.ends(case.start(*PREFLIGHT))
    assert "ready: the cluster can do what the rules ask for" in case.said()
    assert errors(case) == []
    jobs = case.cluster.ask("squeue", "-h", "--states=all", "-o", "%j %T").splitlines()
    trials = [job.split()[1] for job in jobs if job.startswith(".dmlbench_probe")]
    assert set(trials) == {"COMPLETED"}
    assert not list((case.folder / "results" / "smoke").glob(".dmlbench_probe*"))


@pytest.mark.parametrize(
    ("resource", "line"),
    [
        ("slurm_partition=gpus", "sbatch: allocation failure: Invalid partition name specified"),
        ("gpu_model=h100", "sbatch: allocation failure: Requested node configuration is not"),
        ("runtime=2000", "asks for up to 2000 minutes, and partition cpu allows 1440"),
        ("mem_mb=100000", "sbatch: allocation failure: Requested node configuration is not"),
        ("constraint=infiniband", "sbatch: allocation failure: Invalid feature specification"),
    ],
)
def test_a_request_that_slurm_would_refuse_or_never_start(new_case, resource, line):
    case = new_case()
    case.ends(case.start("all", "--set-resources", f"train:{resource}"), code=2)
    (found,) = errors(case)
    assert found.startswith(f"error: train: {line}")
    assert "asked for is " in found
    assert case.jobs("") == []
