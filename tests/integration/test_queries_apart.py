"""A dataset whose queries and gallery are apart, from its images to its table."""

import json
import shutil

import pandas as pd
import pytest
import yaml
from conftest import ROOT, run_snakemake

DATASET = '''
"""Digits as a shop: 0 to 4 to train on; queries and gallery of 5 to 9."""

import numpy as np

from dmlbench.data.dataset import Dataset, Record, register_dataset


@register_dataset(
    "digits_shop",
    train_label="digit",
    train_classes=5,
    evaluations=[("test", "", "digit"), ("train", "", "digit")],
    counts={"train": 901, "test": 757, "test@query": 224, "test@gallery": 534},
    roles=True,
    mode="L",
)
class DigitsShop(Dataset):
    """Every fourth image of 5 to 9 is a query, the others are the gallery, which has no 9."""

    def records(self, raw):
        from sklearn.datasets import load_digits

        scans = load_digits()
        images = (scans.images * 15).astype(np.uint8)
        test = np.flatnonzero(scans.target > 4).tolist()
        images[test[1]] = images[test[0]]  # the gallery has a copy of a query
        role = dict.fromkeys(test, "gallery") | dict.fromkeys(test[::4], "query")
        role[test[8]] = "both"
        for number, digit in enumerate(scans.target.tolist()):
            mine = role.get(number, "")
            if (digit, mine) != (9, "gallery"):
                split, image = "test" if mine else "train", images[number, ..., None]
                yield Record(f"{number:04d}", split, {"digit": digit}, image, role=mine)
'''
RUN = "results/shop/runs/digits_shop/digits_8d/triplet/random/seed0"
#: Of the test: both numbers count the image that is both. Queries of the 9 find nothing.
QUERIES, GALLERY, LONE = 224, 534, 41


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The smoke config on that dataset, one method, run to its table and two figures."""
    folder = tmp_path_factory.mktemp("shop")
    for part in ("workflow_scripts", "rules"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "workflow_scripts/dmlbench/data/datasets/digits_shop.py").write_text(DATASET)
    config = yaml.safe_load((ROOT / "configs" / "smoke.yaml").read_text())
    methods = [{"loss": "triplet", "sampler": "random"}]
    config["experiments"] = {
        "shop": {"dataset": "digits_shop", "recipe": "digits_8d", "methods": methods}
    }
    config |= {"name": "shop", "seeds": [0], "selections": ["test_max"], "controls": ["random"]}
    config["projection"]["selection"] = "test_max"
    config["evaluation"] |= {
        "metrics": ["recall", "map_at_r", "mrr", "nmi"],
        "splits": ["test", "train"],
    }
    del config["samplers"]["eps"]
    (folder / "shop.yaml").write_text(yaml.safe_dump(config))
    made = [f"results/shop/tables/shop.{suffix}" for suffix in ("csv", "md", "tex")]
    made += [f"results/shop/figures/{kind}_shop.png" for kind in ("retrieval", "similarities")]
    where = ("--configfile", "shop.yaml", "--directory", folder)
    done = run_snakemake("-c2", *made, *where, cwd=folder, root=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_metrics_are_of_the_queries_in_their_gallery(shop):
    metrics = json.loads((shop / RUN / "metrics.json").read_text())
    test, train = metrics["parts"]
    assert (test["queries"], test["gallery"]) == (QUERIES, GALLERY)
    assert test["images"] == QUERIES + GALLERY - 1
    assert (test["unmatched"], test["copies"]) == (LONE, 1)
    # Every training image is a query to all others; some are held out for validation.
    assert train["queries"] == train["gallery"] + 1 == 901 - train["held_out"]
    assert (train["unmatched"], train["copies"]) == (0, 0)
    of_test = [row for row in metrics["metrics"] if row["split"] == "test"]
    found = {(row["metric"], row["k"]): row for row in of_test}
    # Queries of the 9 are missed, whatever was learnt.
    most = 1 - LONE / QUERIES
    assert 0.5 < found["recall", 1]["value"] <= most
    size = f"{QUERIES} queries in a gallery of {GALLERY}"
    assert found["recall", 1]["note"] == f"{size}; {LONE} without a match counted as missed"
    assert found["mrr", 0]["note"] == f"{size}; {LONE} without a match left out"


@pytest.mark.slow
def test_the_epoch_is_chosen_by_what_is_measured(shop):
    metrics = json.loads((shop / RUN / "metrics.json").read_text())
    rows = pd.DataFrame(metrics["metrics"])
    first = rows.query("metric == 'recall' and k == 1 and split == 'test'")["value"]
    history = pd.read_csv(shop / RUN / "history.csv")
    assert first.tolist() == pytest.approx([history["recall_at_1_test_max"].max()], abs=1e-6)


@pytest.mark.slow
def test_the_checker_passes_and_the_table_says_the_sizes(shop):
    check = json.loads((shop / "results/shop/summary/check.json").read_text())
    assert check["breaches"] == []
    size = f"Queries of test, digit: {QUERIES} in a gallery of {GALLERY} images"
    about = f"(without a match: {LONE}; copies of a query in the gallery: 1)"
    for suffix in ("md", "tex"):
        text = " ".join((shop / f"results/shop/tables/shop.{suffix}").read_text().split())
        assert f"{size} {about}." in text
        assert "NMI is of all images, queries and gallery." in text
    table = pd.read_csv(shop / "results/shop/tables/shop.csv")
    assert set(table.loc[table["split"] == "test", "queries"]) == {QUERIES}
    (train,) = set(table.loc[table["split"] == "train", "queries"])
    assert QUERIES < train < 901  # of all but those that are held out


@pytest.mark.slow
def test_figures_show_images_of_the_gallery(shop):
    index = pd.read_parquet(shop / "data/prepared/digits_shop/original/index.parquet")
    index = index.set_index("id")
    shown = pd.read_parquet(shop / RUN / "neighbours_test.parquet")
    assert set(index.loc[shown["id"].unique(), "role"]) <= {"gallery", "both"}
    assert set(index.loc[shown["query"].unique(), "role"]) <= {"query", "both"}
