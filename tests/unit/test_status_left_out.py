"""`make status` tells what measured runs left out, and why cells stay empty."""

import json
import sys

from conftest import SCRIPTS

from dmlbench import paths
from dmlbench.config import resolve_config

sys.path.insert(0, str(SCRIPTS))
from plan import left_out


def test_what_was_left_out_and_every_empty_cell_is_told(smoke_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    smoke_config["evaluation"]["exclude_duplicates"] = True
    plan = resolve_config(smoke_config, "test")
    first, second, *_ = plan.all_runs.values()
    row = {"split": "test", "label": "digit", "selection": "last", "metric": "recall", "k": 1}
    measured = {
        "parts": [{"split": "test", "label": "digit", "unmatched": 3}],
        "duplicates": {"left_out": {"test digit": [4, 1], "train digit": [0, 0]}},
        "metrics": [row | {"value": None, "note": "one class"}, row | {"value": 0.5, "note": ""}],
    }
    for run, text in ((first, json.dumps(measured)), (second, "{")):
        plan.run_folder(run).mkdir(parents=True)
        (plan.run_folder(run) / paths.METRICS_FILE).write_text(text)
    name = first.dataset
    copies = "4 queries and 1 images of the gallery left out, training has the images"
    assert left_out(plan, [first, second]) == [
        f"{name} test digit: 3 queries have no match in the gallery",
        f"{name} test digit: {copies}",
        f"{name} test digit last: no recall@1: one class",
        f"{second.id}: metrics.json is damaged (JSONDecodeError); measure it again",
    ]
