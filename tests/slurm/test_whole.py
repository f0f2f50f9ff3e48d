"""The smoke config from its first job to its report, as a user types it."""

from pathlib import Path

from slurm_case import Case

CONFIG = "configs/smoke.yaml"


def test_everything_is_made_on_the_cluster_and_equals_a_local_run(new_case, smoke_run: Path):
    case: Case = new_case()
    case.ends(case.start("all", config=CONFIG))
    made = case.folder / "results" / "smoke"
    assert (made / "report" / "report.html").stat().st_size > 100_000
    files = sorted(file.relative_to(smoke_run) for file in smoke_run.rglob("metrics.json"))
    assert len(files) == 4 + 3  # controls
    for file in files:
        assert (case.folder / file).read_bytes() == (smoke_run / file).read_bytes(), file
    table = Path("results/smoke/tables/even_odd.csv")
    assert (case.folder / table).read_bytes() == (smoke_run / table).read_bytes()

    # Each job once, on GPUs where there is one to train or embed, and those on both nodes.
    gpu, none = "gres:gpu:1", "N/A"
    for rule, gpus, count in (("train", gpu, 5), ("embed", gpu, 5), ("evaluate", none, 7)):
        jobs = case.jobs(rule)
        assert [job["state"] for job in jobs] == ["COMPLETED"] * count, rule
        assert {job["gpus"] for job in jobs} == {gpus}, rule
    assert {job["node"] for job in case.jobs("train")} == {"n1", "n2"}
    assert not list(made.glob(".dmlbench_probe*"))

    # Nothing is left to do, here or anywhere.
    case.ends(case.start("all", "--dry-run", config=CONFIG))
    assert "Nothing to be done" in case.said()
