"""`make status` tells all that was asked for and is missing, with the reason."""

import json

import pandas as pd
import pytest
from made_results import make_results, write_metrics

from dmlbench import paths
from dmlbench.checking.ledger import idle, ledger
from dmlbench.config import resolve_config
from dmlbench.reporting.status import breaches, left_out, not_made, reasons


@pytest.fixture
def plan(smoke_config, tmp_path, monkeypatch):
    """A plan whose runs are all there."""
    monkeypatch.chdir(tmp_path)
    made = resolve_config(smoke_config, "test")
    make_results(made, tmp_path / paths.results(made.benchmark.name))
    return made


def file_of(plan, name):
    return plan.run_folder(next(iter(plan.runs.values()))) / name


def test_what_was_left_out_and_every_empty_cell_is_told(plan):
    plan.benchmark.evaluation.exclude_duplicates = True
    first, second, *_ = plan.all_runs.values()
    file = file_of(plan, paths.METRICS_FILE)
    content = json.loads(file.read_text())
    seen, *_ = content["parts"]
    where = f"{first.dataset} {seen['split']} {seen['subset']} {seen['label']}"
    seen |= {"unmatched": 3, "copies": 2, "fixed": 5}
    content["metrics"][0] |= {"value": None, "note": "one class"}
    dropped = {"test seen digit": [4, 1], "train digit": [0, 0]}
    write_metrics(file, content | {"duplicates": {"same": 4, "near": 0, "left_out": dropped}})
    (plan.run_folder(second) / paths.METRICS_FILE).write_text("{")
    copies = "4 queries and 1 images of the gallery left out, training has the images"
    assert left_out(plan, [first, second]) == [
        f"{where}: 3 queries have no match in the gallery, and count as missed",
        f"{where}: 2 images of the gallery are copies of a query",
        f"{first.dataset} test seen digit: {copies}",
        f"{first.dataset} test digit last: no recall@1: one class",
        f"{second.id}: metrics.json is damaged (JSONDecodeError); measure it again",
    ]


def test_runs_that_are_all_there_have_nothing_to_tell(plan):
    assert reasons(ledger(plan)) == []
    assert breaches(plan) == []
    assert left_out(plan, list(plan.all_runs.values())) == []


@pytest.mark.parametrize(
    ("file", "reason"),
    [("run.json", "not run yet"), (paths.METRICS_FILE, "trained, not measured yet")],
)
def test_why_runs_are_missing_is_told(plan, file, reason):
    """They were counted only."""
    file_of(plan, file).unlink()
    assert reasons(ledger(plan)) == [f"1 missing: {reason}"]
    assert breaches(plan) == []  # once is enough


def test_runs_of_other_settings_are_told(plan):
    content = json.loads(file_of(plan, "run.json").read_text())
    file_of(plan, "run.json").write_text(json.dumps(content | {"fingerprint": "other"}))
    assert reasons(ledger(plan)) == ["1 missing: trained with other settings than the config's"]


def test_a_cell_that_was_never_measured_is_told(plan):
    file = file_of(plan, paths.METRICS_FILE)
    content = json.loads(file.read_text())
    content["metrics"] = [row for row in content["metrics"] if row["metric"] != "nmi"]
    write_metrics(file, content)
    (line,) = breaches(plan)
    assert line.startswith("R17 ")
    assert "nmi was not measured" in line


def test_a_damaged_file_is_a_line(plan):
    file_of(plan, paths.METRICS_FILE).write_text("{")
    (line,) = breaches(plan)
    assert f"{paths.METRICS_FILE}: damaged (" in line


def test_files_that_are_not_made_are_told_with_what_they_wait_for(plan):
    lines = not_made(plan, whole=True)
    table = paths.table(plan.benchmark.name, "even_odd", "md")
    assert lines[0] == f"not made yet: {table}"
    assert not_made(plan, whole=False)[0].endswith("; they wait for the runs that are missing")
    paths.local(table).parent.mkdir(parents=True, exist_ok=True)
    paths.local(table).touch()
    assert f"not made yet: {table}" not in not_made(plan, whole=True)


def test_epochs_without_an_active_tuple_are_counted():
    assert (
        idle(pd.DataFrame({"active_tuples": [0.0, 0.2, 0.0]})) == "no active tuple in 2 of 3 epochs"
    )
    assert idle(pd.DataFrame({"active_tuples": [0.1, None]})) == ""
    assert idle(pd.DataFrame({"loss": [0.1]})) == ""


def test_files_of_a_folder_that_are_no_images_are_told(plan):
    own = {"folder": "mine", "split": "first"}
    plan.benchmark.datasets["mine"] = (
        type(plan.benchmark)
        .model_validate(plan.benchmark.model_dump() | {"datasets": {"mine": own}})
        .datasets["mine"]
    )
    for name in "abcd":
        folder = paths.local("mine") / name
        folder.mkdir(parents=True)
        (folder / "1.png").touch()
    paths.local("mine/a/1.tif").touch()
    assert left_out(plan, []) == ["mine: left out: .tif files (1)"]
