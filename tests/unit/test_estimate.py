"""What a config will take, how far it is, and what became of published results."""

import json
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, run_script
from made_results import gather, make_results, write_sealed
from test_lock import expire, holder

from dmlbench import BENCHMARK_VERSION, paths
from dmlbench.config import load_config, resolve_config
from dmlbench.files import checksum_of
from dmlbench.reporting.claims import (
    NO_NUMBER,
    NOT,
    NOT_RUN,
    OTHER,
    REPRODUCED,
    WITHIN,
    verdicts,
)
from dmlbench.reporting.published import read_published
from dmlbench.reporting.report import write_pages
from dmlbench.reporting.tables import write_tables
from dmlbench.workflow import job_records as jobs
from dmlbench.workflow.estimate import (
    BASES,
    epoch_images,
    finished_trainings,
    images_of_split,
    run_bytes,
    training_cost,
)


@pytest.fixture
def plan(smoke_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke.yaml").write_text(json.dumps(smoke_config))
    return resolve_config(smoke_config, "test")


def results(plan):
    folder = ROOT.cwd() / paths.results(plan.benchmark.name)
    make_results(plan, folder)
    for file in folder.rglob("history.csv"):
        pd.read_csv(file).assign(images_per_second=100.0).to_csv(file, index=False)
        # As the job that wrote it does; controls without a training have no history.
        record = json.loads((file.parent / "run.json").read_text())
        record["outputs"] |= {"history.csv": checksum_of(file)}
        write_sealed(file.parent / "run.json", record)
    return folder.parent


def test_hours_come_from_the_nearest_that_ran(plan, smoke_config):
    finished = finished_trainings(results(plan))
    (run,) = [r for r in plan.experiment_runs("even_odd") if r.sampler == "eps" and r.seed == 1]
    spec = plan.spec(run)
    asked = []

    def images():
        asked.append(True)
        return 5000

    # Made-up trainings take 10 s and 20 s.
    cost = training_cost(finished, spec, images)
    assert (cost.seconds, cost.basis, cost.device) == (pytest.approx(15), BASES[0], "cpu")
    longer = {**spec, "recipe": {**spec["recipe"], "epochs": 2 * spec["recipe"]["epochs"]}}
    assert training_cost(finished, longer, images).seconds == pytest.approx(30)
    other = {**spec, "loss": {**spec["loss"], "margin": 7.0}}
    assert training_cost(finished, other, images).basis == BASES[1]
    assert not asked
    elsewhere = {**spec, "dataset": "omniglot"}
    cost = training_cost(finished, elsewhere, images)
    assert (cost.basis, cost.seconds) == (BASES[2], pytest.approx(3 * 5000 / 100))
    unknown = {**spec, "recipe": {**spec["recipe"], "backbone": "resnet50", "image_size": 224}}
    cost = training_cost(finished, {**unknown, "dataset": "omniglot"}, images)
    assert (cost.basis, cost.seconds) == (BASES[3], pytest.approx(3 * 5000 / 700))


@pytest.mark.parametrize(
    ("recipe", "rate", "basis"),
    [
        ({"image_size": 224, "precision": "bfloat16"}, 3400, 3),
        ({"image_size": 112}, 4 * 700, 3),
        ({"eval_transforms": [{"Resize": {"size": [448, 448]}}]}, 700 / 4, 3),
        (
            {
                "image_size": None,
                "train_transforms": [{"RandomResizedCrop": {"size": 56}}],
                "eval_transforms": [{"Resize": {"size": 448}}, {"CenterCrop": {"size": 56}}],
            },
            16 * 700,
            3,
        ),
        ({"freeze": "backbone", "weights": "tv_in1k"}, 30_000, 4),
    ],
)
def test_what_nothing_like_ran_is_assumed(plan, recipe, rate, basis):
    nothing = finished_trainings(Path("nowhere"))
    spec = plan.spec(next(iter(plan.runs.values())))
    spec["recipe"] |= {"backbone": "resnet50", **recipe}
    cost = training_cost(nothing, spec, lambda: 5000)
    assert (cost.basis, cost.seconds) == (BASES[basis], pytest.approx(3 * 5000 / rate))


def test_images_and_bytes_of_a_run():
    plan = load_config(ROOT / "configs/lfw_view2.yaml")
    run = next(iter(plan.runs.values()))
    counts = images_of_split(plan, run)
    assert counts == {"train": 13233 - 1369, "test": 1369}
    assert epoch_images(plan, run) == round(11864 + 1369 / 3)
    kept = 3 * (1000 + 1369 * 512) + 3 * 1000
    assert run_bytes(plan, run, 1000) == 4 * kept


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", ""),
        ("run.json", "[]"),
        ("run.json", "null"),
        ("run.json", '{"seconds": 1}'),
        ("history.csv", ""),
        ("history.csv", "epoch\n1\n"),
        ("history.csv", "epoch,images_per_second\n"),
        ("history.csv", "epoch,images_per_second\n1,many\n"),
    ],
)
def test_a_damaged_record_is_left_out_with_a_line(plan, caplog, name, content):
    folder = results(plan)
    whole = finished_trainings(folder)
    assert caplog.messages == []
    file = plan.run_folder(next(iter(plan.runs.values()))) / name
    file.write_text(content)
    left = finished_trainings(folder)
    assert len(left) == len(whole) - 1
    (line,) = caplog.messages
    assert str(file) in line
    assert "\n" not in line


def test_records_of_older_versions_are_left_out_and_counted(plan, caplog):
    folder = results(plan)
    whole = finished_trainings(folder)
    for run in list(plan.runs.values())[:2]:
        file = plan.run_folder(run) / "run.json"
        record = json.loads(file.read_text())
        del record["run"]["recipe"]["train_transforms"]
        write_sealed(file, record)
    assert len(finished_trainings(folder)) == len(whole) - 2
    assert caplog.messages == [f"{folder}: the times of 2 trainings of older versions are left out"]


def test_the_records_of_this_repository_can_be_estimated_from():
    finished_trainings(ROOT / "results")


def test_a_run_without_its_weights_is_to_do(plan, tmp_path):
    results(plan)
    runs = list(plan.runs.values())
    for run in runs[1:]:
        (plan.run_folder(run) / paths.model("last")).touch()
    done = run_script(
        *("plan", "estimate", "--config", "smoke.yaml", "--snakefile", ROOT / "Snakefile"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert f"trainings: {len(runs)}, 1 of them to do" in done.stdout


def test_status_counts_states_and_names_logs(plan, tmp_path):
    results(plan)
    first, second, third, _ = plan.experiment_runs("even_odd")
    for run in (first, second, third):
        (plan.run_folder(run) / "run.json").unlink()
    log = paths.log_in(tmp_path / paths.results("smoke"), "train", first.id)
    with pytest.raises(MemoryError), jobs.noted(log):
        raise MemoryError("no room")
    lock = plan.checkpoint_folder(second) / paths.LOCK_FILE
    holder(lock, host="node7", pid=42)
    expire(lock, -3600)  # however long the script takes to start
    done = run_script("plan", "status", "--config", "smoke.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    head, row, *told = done.stdout.splitlines()
    assert head.split() == ["experiment", "done", "running", "failed", "missing", "of"]
    assert row.split() == ["even_odd", "4", "1", "1", "1", "7"]
    assert any("out of memory: no room" in line and "train.log" not in line for line in told)
    assert any(f"{second.id} running: on node7, process 42" in line for line in told)


def test_numbers_with_other_settings_are_not_judged(smoke_config):
    settings = {"published": ["eps_table3"], "dataset": "omniglot"}
    smoke_config["experiments"]["even_odd"] |= settings
    smoke_config["samplers"]["random"]["negative"] = "semihard"
    plan = resolve_config(smoke_config, "test")
    metrics = made_metrics(plan, {"random": [49.4] * 2}).assign(
        dataset="omniglot", subset="", label="letter"
    )
    found = verdicts(plan, metrics)
    mine = found[(found["kind"] == "number") & found["ours"].notna()]
    assert mine["verdict"].tolist() == [OTHER]


def made_metrics(plan, values):
    """Recall@1 of the seen digits by sampler and seed; of nothing else."""
    rows = [
        {"selection": "test_max", "split": "test", "subset": "seen", "label": "digit", "note": ""}
        | {"metric": "recall", "k": 1, "value": value / 100}
        | {"dataset": "mnist_even_odd", "recipe": "digits_8d", "loss": "triplet"}
        | {"sampler": sampler, "seed": seed}
        for sampler, some in values.items()
        for seed, value in enumerate(some)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("random", "eps", "number", "claim"),
    [
        ([42.1, 41.9, 42.3], [65.0, 66.0, 65.5], REPRODUCED, REPRODUCED),
        ([40.0, 50.0, 45.0], [66.0, 90.0, 60.0], WITHIN, WITHIN),
        ([30.0, 30.1, 30.2], [20.0, 20.1, 20.3], NOT, NOT),
        ([42.0], [65.8], REPRODUCED, NOT),  # one seed shows no difference
    ],
)
def test_a_published_result_gets_one_verdict(smoke_config, random, eps, number, claim):
    settings = {"published": ["eps_table1"], "dataset": "mnist_even_odd"}
    smoke_config["experiments"]["even_odd"] |= settings
    smoke_config["recipes"]["digits_8d"]["embedding_dim"] = 2  # as the paper has
    plan = resolve_config(smoke_config, "test")
    found = verdicts(plan, made_metrics(plan, {"random": random, "eps": eps}))
    source = read_published("eps_table1").source
    mine = found[(found["source"] == source) & (found["part"] == "seen digits")]
    first = mine[(mine["metric"] == "recall@1") & (mine["kind"] == "number")].set_index("claim")
    assert first.loc["Triplet", "published"] == 42.0
    assert first.loc["Triplet", "verdict"] == number
    assert mine[mine["kind"] == "claim"]["verdict"].tolist() == [claim]
    rest = found[(found["source"] == source) & (found["part"] == "unseen digits")]
    assert set(rest["verdict"]) == {NOT_RUN}
    others = found[found["source"] != source]
    assert set(others["verdict"]) <= {NOT_RUN, NO_NUMBER}
    assert others["source"].nunique() >= 5


def pages(plan):
    """The report's summary page and that of the experiment."""
    gather(plan)
    write_tables(plan, "even_odd")
    write_pages(plan)
    name = plan.benchmark.name
    files = paths.summary_page(name), paths.experiment_page(name, "even_odd")
    return [paths.local(file).read_text() for file in files]


def test_pages_of_the_report_lead_to_every_run(plan):
    results(plan)
    summary, page = pages(plan)
    for run in plan.experiment_runs("even_odd"):
        assert str(plan.run_folder(run)) in page
    assert "not run" in summary
    assert f"benchmark version {BENCHMARK_VERSION}" in summary
    assert "<script" not in summary
    assert "PARTIAL" not in summary + page
    assert summary.count("<td>here</td>") == 1, "one machine, however much memory its runs took"


def test_pages_say_what_is_missing_and_have_a_method_that_was_added(smoke_config, plan):
    smoke_config["losses"]["wide"] = {"type": "triplet", "margin": 0.5}
    smoke_config["experiments"]["even_odd"]["methods"].append({"loss": "wide", "sampler": "eps"})
    plan = resolve_config(smoke_config | {"partial": True}, "test")
    results(plan)
    lost = plan.experiment_runs("even_odd")[0]
    (plan.run_folder(lost) / paths.METRICS_FILE).unlink()
    for text in pages(plan):
        assert f"PARTIAL: 1 runs are missing ({lost.id}: missing" in text
    assert "Triplet + EPS (wide)" in text
    (added,) = [r for r in plan.experiment_runs("even_odd") if r.loss == "wide" and not r.seed]
    assert str(plan.run_folder(added)) in text


def test_pages_of_one_seed_promise_no_interval(smoke_config, plan):
    plan = resolve_config(smoke_config | {"seeds": [0]}, "test")
    results(plan)
    summary, page = pages(plan)
    assert "one seed 0. Numbers are percent,\nwithout intervals" in summary
    assert "one seed, so no interval and no test" in page
