"""Images of the test that training has too."""

import json

import numpy as np
import pytest
from made_results import make_results, write_metrics
from PIL import Image
from test_checker import breaches
from test_tables import rows, written

from dmlbench import paths
from dmlbench.config import resolve_config
from dmlbench.data.duplicates import NEAR, find_duplicates
from dmlbench.data.folder import own_dataset
from dmlbench.data.prepare import prepare
from dmlbench.data.store import ImageStore


def photograph(seed, side=64):
    """A picture of smooth shapes."""
    shapes = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(shapes).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def leaking(tmp_path):
    """Six classes of three images, of which the test has one copy and one smaller, saved anew."""
    dataset = written(tmp_path, rows())
    for number, path in enumerate(rows()["path"]):
        photograph(number).save(tmp_path / path)
    photograph(0).save(tmp_path / "images/3_0.png")
    photograph(1).resize((40, 40)).save(tmp_path / "images/4_1.png", "JPEG", quality=60)
    return dataset


def store_of(folder, dataset):
    prepare(own_dataset("mine", dataset), {}, folder)
    return ImageStore(folder)


def test_copies_and_near_copies_are_found_and_nothing_else(tmp_path, leaking):
    store = store_of(tmp_path / "out", leaking)
    found = find_duplicates(store, threads=2)
    name = store.index.set_index("id")["path"]
    told = [(name[row.id], name[row.of], row.same) for row in found.itertuples()]
    assert told == [
        ("images/3_0.png", "images/0_0.png", True),
        ("images/4_1.png", "images/0_1.png", False),
    ]
    assert found["bits"].between(0, NEAR).all()


def test_hashes_agree_with_the_library_pair_by_pair(tmp_path, leaking):
    from imagehash import phash

    store = store_of(tmp_path / "out", leaking)
    split = store.index["split"]
    codes = [phash(Image.fromarray(store.image(row))) for row in range(len(split))]
    nearest = {
        row: min(codes[row] - codes[other] for other in np.flatnonzero(split == "train"))
        for row in np.flatnonzero(split == "test")
    }
    found = find_duplicates(store).set_index("id")["bits"].to_dict()
    ids = store.index["id"]
    assert found == {ids[row]: bits for row, bits in nearest.items() if bits <= NEAR}


def test_images_smaller_than_the_hash_are_looked_for_by_their_pixels_only(tmp_path):
    dataset = written(tmp_path, rows())  # one colour each: all hashes are the same
    Image.new("RGB", (16, 12), (0, 0, 0)).save(tmp_path / "images/5_2.png")
    found = find_duplicates(store_of(tmp_path / "out", dataset))
    assert found["same"].tolist() == [True]


def test_each_fold_is_held_against_the_others(tmp_path, leaking):
    store = store_of(tmp_path / "out", leaking)
    store.index["split"] = np.repeat(["fold1", "fold2", "fold3"], 6)
    found = find_duplicates(store)
    split = store.index.set_index("id")["split"]
    assert (split[found["id"]].to_numpy() != split[found["of"]].to_numpy()).all()
    assert found["same"].sum() == 2  # the copy, and what it is a copy of


def test_what_was_left_out_is_counted_by_the_checker(tmp_path, smoke_config):
    smoke_config["evaluation"]["exclude_duplicates"] = True
    plan = resolve_config(smoke_config, "test")
    make_results(plan, tmp_path / "x")
    assert breaches(plan, tmp_path / "x") == []
    for file in (tmp_path / "x").rglob(paths.METRICS_FILE):
        content = json.loads(file.read_text())
        part = content["parts"][0]
        where = " ".join(filter(None, (part["split"], part["subset"], part["label"])))
        content["duplicates"] = {"same": 2, "near": 1, "left_out": {where: [3, 3]}}
        for counts in (part, *content["vectors"]):
            same = all(counts[key] == part[key] for key in ("split", "subset", "label"))
            for key in {"queries", "gallery", "vectors"} & set(counts) if same else ():
                counts[key] -= 3
        write_metrics(file, content)
    assert breaches(plan, tmp_path / "x") == []
    del smoke_config["evaluation"]["exclude_duplicates"]
    told = breaches(resolve_config(smoke_config, "test"), tmp_path / "x")
    assert {b["rule"] for b in told} == {"R07"}


def test_a_config_that_does_not_ask_for_it_is_stored_as_before(smoke_config):
    plan = resolve_config(smoke_config, "test")
    assert "exclude_duplicates" not in plan.benchmark.as_json()
    assert not plan.benchmark.evaluation.exclude_duplicates
