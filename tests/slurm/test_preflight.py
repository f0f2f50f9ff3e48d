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
    trials = case.cluster.ask("squeue", "-h", "--states=all", "--name=dmlbench_probe", "-o", "%T")
    assert set(trials.split()) == {"COMPLETED"}
    assert not list((case.folder / "results" / "smoke").glob(".probe*"))


@pytest.mark.parametrize(
    ("resource", "line"),
    [
        ("slurm_partition=gpus", "there is no partition 'gpus', only cpu, gpu, "),
        ("gpu_model=h100", "no node of partition cpu has 1 GPU h100, only GPU x 1"),
        ("runtime=2000", "asks for up to 2000 minutes, and partition cpu allows 1440"),
        ("mem_mb=100000", "asks for up to 100000 MB, and no node of partition cpu has more"),
        ("constraint=infiniband", "sbatch: "),
    ],
)
def test_a_request_that_slurm_would_refuse_or_never_start(new_case, resource, line):
    case = new_case()
    case.ends(case.start("all", "--set-resources", f"train:{resource}"), code=2)
    (found,) = errors(case)
    assert found.startswith(f"error: train: {line}")
    assert case.jobs("") == []
