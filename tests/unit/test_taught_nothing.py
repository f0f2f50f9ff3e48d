"""Trainings that taught nothing are found; what was held out or left out is counted."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from base_runs import base, images
from in_one_process import run_all
from made_results import gather, make_results, write_metrics

from dmlbench import paths
from dmlbench.checking.check import check
from dmlbench.checking.ledger import LEARNT_NOTHING, ledger, unused
from dmlbench.checking.results import Results
from dmlbench.config import resolve_config
from dmlbench.data.summary import summarise
from dmlbench.errors import DataError
from dmlbench.evaluation.coincidence import on_one_point
from dmlbench.files import read_parquet
from dmlbench.reporting.status import left_out
from dmlbench.reporting.tables import write_tables


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": {"name": "adam", "lr": 1e-300}},
        {"ema": 0.99999999},
        {"clip_grad_norm": 1e-30},
    ],
)
def test_a_training_that_moves_nothing_is_refused(recipe):
    """Issue: state ok, all rules hold, and a row in the table."""
    images()
    with pytest.raises(DataError, match=r"^R22 .*: learnt nothing: the weights have not moved"):
        run_all(base(recipe), figures=False)


def test_files_beside_the_images_stand_in_the_summary():
    """Issue: told once, in the log of prepare."""
    images()
    Path("images/c0/one.tif").touch()
    Path("images/loose.png").touch()
    plan = run_all(base({"validation": 0.3}, selections=["last", "val"]), figures=False)
    index = read_parquet(paths.local(paths.INDEX, dataset="mine", store="original"))
    text = summarise("mine", index, pd.DataFrame({"same": []}))
    others = ".tif files (1), images beside the class folders (1)"
    assert f"left out, as no image of a class: {others}" in text
    assert left_out(plan, []) == [f"mine: left out: {others}"]
    # And images that validation took are in the ledger's note.
    (entry,) = ledger(plan)
    assert "6 images held out for validation" in entry.note


def test_images_held_out_are_counted():
    record = {"images": {"images": 12, "held_out": 6, "never_drawn": 2, "without_positive": 0}}
    told = "6 images held out for validation; of 12 training images 2 in no batch of any epoch"
    assert unused(record) == told
    assert unused({"images": {"images": 12, "held_out": 0}}) == ""


@pytest.fixture
def plan(smoke_config, tmp_path):
    made = resolve_config(smoke_config, "test")
    make_results(made, tmp_path / paths.results(made.benchmark.name))
    return made


def test_weights_that_moved_by_less_than_float32_tells_have_not(plan):
    run = next(iter(plan.runs.values()))
    file = plan.run_folder(run) / "run.json"
    record = json.loads(file.read_text())
    for moved, states in ((1e-9, {"ok", LEARNT_NOTHING}), (1e-4, {"ok"})):
        file.write_text(json.dumps(record | {"moved": moved}))
        assert {entry.state for entry in ledger(plan)} == states


def test_a_collapsed_training_is_refused_or_marked(plan):
    """Issue: R@1 33.3, state ok, no note."""
    run, *_ = plan.runs.values()
    file = plan.run_folder(run) / paths.METRICS_FILE
    content = json.loads(file.read_text())
    for vectors in content["vectors"]:
        vectors["one_point"] = vectors["selection"] == "last"
    write_metrics(file, content)
    assert {breach["rule"] for breach in check(Results.read(plan))} == {"R23"}
    assert any("collapsed" in line for line in left_out(plan, [run]))
    plan.benchmark.partial = True
    assert check(Results.read(plan)) == []
    gather(plan)
    write_tables(plan, "even_odd")
    table = Path(paths.table(plan.benchmark.name, "even_odd", "md")).read_text()
    assert "(1/2 collapsed)" in table
    assert "Collapsed: all embeddings lie on one point" in table


def test_one_point_is_that_of_rounding():
    made = np.ones((5, 3), np.float32)
    assert on_one_point(made)
    made[0] += 1e-6
    assert on_one_point(made)
    made[0] += 1e-3
    assert not on_one_point(made)
