"""How many images of the test are in training too: tables, the checker and the report say it."""

import json
from pathlib import Path

import pytest
from conftest import run_script
from made_results import gather, make_results, write_metrics

from dmlbench import paths
from dmlbench.checking.check import check, write_check
from dmlbench.checking.results import Results
from dmlbench.config import resolve_config
from dmlbench.reporting.report import write_pages
from dmlbench.reporting.tables import write_tables

SAME, NEAR = 1_234, 7


@pytest.fixture
def results(smoke_config, tmp_path, monkeypatch):
    """The folder of results whose test has copies, and their plan."""
    monkeypatch.chdir(tmp_path)
    plan = resolve_config(smoke_config, "test")
    folder = Path(paths.results("smoke"))
    make_results(plan, folder)
    for file in folder.rglob(paths.METRICS_FILE):
        content = json.loads(file.read_text())
        write_metrics(file, content | {"duplicates": {"same": SAME, "near": NEAR, "left_out": {}}})
    gather(plan)
    return folder, plan


def test_tables_and_pages_say_how_many(results):
    _, plan = results
    found = Results.read(plan)
    write_check(found, check(found), Path(paths.check("smoke")))
    write_tables(plan, "even_odd")
    write_pages(plan)
    noted = f"Images of the test that training has too: {SAME} with the same pixels, {NEAR} more"
    for file in (paths.table("smoke", "even_odd", "md"), paths.table("smoke", "even_odd", "tex")):
        assert noted in Path(file).read_text()
    assert noted in Path(paths.experiment_page("smoke", "even_odd")).read_text()
    summary = " ".join(Path(paths.summary_page("smoke")).read_text().split())
    assert "digits_even_odd: 1,234 images of the test are in training with the same" in summary
    assert "and 7 more with nearly the same perceptual hash" in summary


def test_the_checker_says_how_many(results):
    folder, _ = results
    done = run_script("check", folder, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    told = "digits_even_odd: images of the test in training: 1,234 with the same pixels, 7 more"
    assert told in done.stderr
