"""What cannot vary is refused before it is trained for; what nobody can find is counted."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from base_runs import base, images, pairs_in, whole_class
from in_one_process import CHECK, run_all
from made_results import gather, make_results, write_metrics

from dmlbench import paths
from dmlbench.checking.check import check
from dmlbench.checking.results import Results
from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError, DataError
from dmlbench.reporting.overall_tables import leaderboard
from dmlbench.reporting.status import left_out
from dmlbench.reporting.tables import write_overview

EXCLUDED = {"exclude_duplicates": True}
#: Of each class of the test one image, which is copied in it, or all but one that training has.
GRAY = [(f"c{c}/0", f"c{c}/{n}") for c in (3, 4, 5) for n in range(1, 6)]
TWO_OF_EACH = [(f"c0/{n}", f"c{c}/{n}") for c in (3, 4, 5) for n in range(4)]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("copies", "evaluation", "told"),
    [
        (
            whole_class("c0", "c3") + whole_class("c1", "c4"),
            EXCLUDED,
            "all images are of one class; 12 of 18 images are in training too and left out: leave "
            "evaluation.exclude_duplicates out, or mend the split",
        ),
        (
            [pair for c in (3, 4, 5) for pair in whole_class("c0", f"c{c}")[:5]],
            EXCLUDED,
            "each class has one image; 15 of 18 images are in training too and left out",
        ),
        (
            [pair for c in (3, 4, 5) for pair in whole_class("c0", f"c{c}")],
            EXCLUDED,
            "there are no images of test class; 18 of 18 images are in training too",
        ),
        (
            TWO_OF_EACH,
            EXCLUDED | {"recall_at": [1, 8]},
            "evaluation.recall_at: 8 is not below the 6 images of mine test that "
            "evaluation.exclude_duplicates leaves",
        ),
        (
            TWO_OF_EACH,
            EXCLUDED | {"metrics": ["nmi_plus"], "nmi_plus": 3},
            "evaluation.nmi_plus: 3 clusters for each class of class are more than the 6 images",
        ),
        (
            pairs_in("c3", "c4", "c5"),
            {},
            "each query with an image of its class has a copy of itself in the gallery; mend the "
            "images, or measure another label column or split",
        ),
        (GRAY, {}, "each query with an image of its class has a copy of itself in the gallery"),
    ],
)
def test_what_cannot_vary_is_refused_before_the_training(copies, evaluation, told):
    """Issue: all 100.0, "hold all 20 rules", or a traceback in the leaderboard."""
    images(copies=copies)
    with pytest.raises(DataError) as refused:
        run_all(base(evaluation=evaluation))
    (line,) = str(refused.value).splitlines()
    assert line.startswith("mine: ")
    assert told in line
    assert not list(Path("results").rglob("history.csv"))


def test_copies_leave_other_metrics_than_recall_something_to_measure():
    images(copies=pairs_in("c3", "c4", "c5"))
    plan = run_all(base(evaluation={"metrics": ["map_at_r"]}), figures=False)
    assert check(Results.read(plan)) == []


@pytest.fixture
def told_of_queries():
    """A finished config: a class of one image in its test, and an image copied in another."""
    images((1, 6, 6, 6, 1, 6), copies=[("c3/0", "c3/1"), ("c5/2", "c5/3")])
    return run_all(base(), figures=False)


def test_queries_without_a_match_and_copies_are_told_everywhere(told_of_queries, caplog):
    """Issue: a class of one image counted as missed, and nobody was told."""
    plan = told_of_queries
    (run,) = plan.all_runs.values()
    (part,) = json.loads((plan.run_folder(run) / paths.METRICS_FILE).read_text())["parts"]
    assert (part["queries"], part["gallery"], part["unmatched"], part["copies"]) == (13, 12, 1, 4)
    assert part["fixed"] == 5
    table = Path(paths.table("base", "e", "md")).read_text()
    about = "without a match: 1; copies of a query in the gallery: 4"
    assert f"Queries of test, class: 13 in a gallery of 12 images ({about})" in table
    assert left_out(plan, [run]) == [
        "mine test class: 1 queries have no match in the gallery, and count as missed",
        "mine test class: 4 images of the gallery are copies of a query",
    ]
    results = Path(paths.results("base"))
    with caplog.at_level("INFO"):
        CHECK.main(Namespace(config=None, results=results, out=None, ledger=None, log=None))
    told = "1 of 13 queries without a match, 4 images that are copies of another query"
    assert f"mine, test class: {told}" in caplog.messages


@pytest.fixture
def plan(smoke_config, tmp_path):
    made = resolve_config(smoke_config, "test")
    make_results(made, tmp_path / paths.results(made.benchmark.name))
    return made


def doctored(plan, change):
    for run in plan.all_runs.values():
        file = plan.run_folder(run) / paths.METRICS_FILE
        content = json.loads(file.read_text())
        change(content)
        write_metrics(file, content)


def test_the_checker_refuses_a_measure_that_cannot_vary(plan):
    def fix(content):
        content["parts"][0] |= {"unmatched": 1, "copies": 362, "fixed": 363}

    assert check(Results.read(plan)) == []
    doctored(plan, fix)
    found = check(Results.read(plan))
    assert {breach["rule"] for breach in found} == {"R21"}
    assert "of 363 queries 1 have no match, and 362 images are copies" in found[0]["what"]


@pytest.mark.parametrize("absent", [["recall"], ["recall", "nmi", "map_at_r"]])
def test_the_leaderboard_survives_a_metric_that_is_absent(plan, absent):
    """Issue: need finite values, got [nan]."""

    def leave_out(content):
        for row in content["metrics"]:
            if row["metric"] in absent:
                row |= {"value": None, "note": "every image is alone in its class"}

    doctored(plan, leave_out)
    metrics = gather(plan)
    board = leaderboard(plan, metrics)
    assert absent[0] not in set(board.get("metric", pd.Series()))
    write_overview(plan, "leaderboard")


def test_classes_are_judged_by_their_sizes_when_the_config_is_read():
    """Issue: one class of four was enough to be accepted; the training refused it."""
    images((4, 2, 2, 4, 4, 4))
    told = "my.yaml: experiments.e: recipe 'r': selections: val: Recall@1 of val class cannot vary"
    with pytest.raises(ConfigError, match=told):
        resolve_config(base({"validation": 0.1}, selections=["last", "val"]), "my.yaml")


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda f: np.save(f, np.zeros((35, 3))), "holds 35 vectors for 36 images of mine"),
        (lambda f: np.save(f, np.zeros(36)), "holds 36 of float64, should be N x D"),
        (lambda f: f.write_bytes(b"junk"), "no vectors can be read"),
    ],
)
def test_a_file_of_vectors_is_looked_at_when_the_config_is_read(write, told):
    images()
    write(Path("vectors.npy"))
    config = base(features={"v": {"file": "vectors.npy"}})
    config["experiments"]["e"]["features"] = ["v"]
    with pytest.raises(ConfigError, match=f"my.yaml: features.v.file: .*{told}"):
        resolve_config(config, "my.yaml")
    np.save("vectors.npy", np.zeros((36, 3)))
    assert resolve_config(config, "my.yaml").vectors


def test_a_label_that_no_query_matches_is_refused_when_the_config_is_read():
    """Issue: accepted; then `measure.py illustrate` had no pair to draw."""
    images()
    found = [(c, n) for c in range(6) for n in range(6)]
    table = pd.DataFrame({"path": [f"images/c{c}/{n}.png" for c, n in found]})
    table["product"] = [f"p{number}" for number in range(len(found))]
    table["kind"] = [f"k{c % 3}" for c, _ in found]
    table["split"] = ["train" if c < 3 else "test" for c, _ in found]
    table["role"] = ["" if c < 3 else "query" if n % 2 else "gallery" for c, n in found]
    table.to_csv("table.csv", index=False)
    labels = {"labels": ["product", "kind"], "train_label": "kind", "protocol": "closed"}
    config = base(datasets={"mine": {"table": "table.csv"} | labels})
    told = "labels: product: Recall@1 of test product cannot vary: no query has a match"
    with pytest.raises(ConfigError, match=told):
        resolve_config(config, "my.yaml")
