"""A user's own folder of images as a dataset."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dmlbench.config import resolve_config
from dmlbench.config.folders import listing, training_classes
from dmlbench.config.models import FolderDataset
from dmlbench.data.folder import dataset_of, folder_dataset
from dmlbench.errors import ConfigError, DataError


def images(folder, classes=6, each=3):
    for number in range(classes):
        place = folder / f"class{number}"
        place.mkdir(parents=True)
        for image in range(each):
            Image.new("RGB", (8, 8), (40 * number, 40 * image, 0)).save(place / f"{image}.png")
        (place / "notes.txt").write_text("no image")
    return folder


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, {"class0", "class1", "class2"}),
        ({"train_share": 0.01}, {"class0", "class1"}),
        ({"train_share": 0.99}, {f"class{n}" for n in range(4)}),
    ],
)
def test_the_first_classes_train_and_two_are_left_on_either_side(tmp_path, rule, expected):
    assert training_classes(FolderDataset(folder=str(images(tmp_path)), **rule)) == expected


def test_a_random_split_is_drawn_by_its_seed(tmp_path):
    images(tmp_path)
    drawn = [
        training_classes(FolderDataset(folder=str(tmp_path), split="random", seed=seed))
        for seed in (0, 0, 1, 2, 3)
    ]
    assert drawn[0] == drawn[1]
    assert len({frozenset(d) for d in drawn}) > 1


def test_records_are_the_images_of_disjoint_classes(tmp_path):
    dataset = folder_dataset("mine", FolderDataset(folder=str(images(tmp_path))))
    records = list(dataset().records({}))
    assert len(records) == 18
    table = pd.DataFrame([{"split": r.split, **r.labels} for r in records])
    assert table.groupby("split")["class"].nunique().to_dict() == {"train": 3, "test": 3}
    assert records[0].path == "class0/0.png"
    (tmp_path / "class9").mkdir()
    with pytest.raises(DataError, match="class9 holds no images"):
        list(folder_dataset("mine", dataset.folder)().records({}))


def test_a_changed_image_changes_the_listing_and_another_file_does_not(tmp_path):
    dataset = FolderDataset(folder=str(images(tmp_path)))
    before = listing(dataset)
    (tmp_path / "class0" / "notes.txt").write_text("other words")
    assert listing(dataset) == before
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "class0" / "0.png")
    assert listing(dataset) != before


def test_a_config_names_it_like_any_dataset(tmp_path, smoke_config):
    smoke_config["datasets"] = {"mine": {"folder": str(images(tmp_path / "images"))}}
    experiment = smoke_config["experiments"]["even_odd"]
    experiment["dataset"] = "mine"
    plan = resolve_config(smoke_config, "test")
    assert plan.datasets == ["mine"]
    assert dataset_of(plan, "mine").train_classes == 3
    run = next(iter(plan.runs.values()))
    before = plan.fingerprint(run)
    smoke_config["datasets"]["mine"]["train_share"] = 0.3
    assert resolve_config(smoke_config, "test").fingerprint(run) != before


@pytest.mark.parametrize(
    ("name", "folder", "told"),
    [
        ("mine", "nowhere", "datasets.mine.folder: no folder 'nowhere'"),
        ("mine", "few", "'few' has 2 class folders; two are needed to train and two to test"),
        ("omniglot", "enough", "datasets.omniglot: there is a dataset of this name"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, monkeypatch, smoke_config, name, folder, told):
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "few", classes=2)
    images(tmp_path / "enough", classes=4)
    smoke_config["datasets"] = {name: {"folder": folder}}
    with pytest.raises(ConfigError, match=told) as caught:
        resolve_config(smoke_config, "test")
    assert len(str(caught.value).splitlines()) == 1
