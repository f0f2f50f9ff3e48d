"""A user's own folder of images as a dataset."""

import os
import shutil

import pandas as pd
import pytest
from conftest import run_script
from PIL import Image

from dmlbench.config import resolve_config
from dmlbench.config.folders import training_classes
from dmlbench.config.own_images import FolderDataset
from dmlbench.data.folder import dataset_of, own_dataset
from dmlbench.data.prepare import prepare
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


@pytest.mark.parametrize("twin", ["caf\u00e9 ", "cafe\u0301"])
def test_classes_that_look_the_same_are_refused(tmp_path, twin):
    """A space at the end, or the other spelling of an accent: they would be two classes."""
    images(tmp_path)
    for name in ("caf\u00e9", twin):
        shutil.copytree(tmp_path / "class0", tmp_path / name)
    with pytest.raises(ConfigError, match=r"names look the same: 'caf.* and 'caf"):
        training_classes(FolderDataset(folder=str(tmp_path)))


def test_a_random_split_is_drawn_by_its_seed(tmp_path):
    images(tmp_path)
    drawn = [
        training_classes(FolderDataset(folder=str(tmp_path), split="random", seed=seed))
        for seed in (0, 0, 1, 2, 3)
    ]
    assert drawn[0] == drawn[1]
    assert len({frozenset(d) for d in drawn}) > 1


def test_records_are_the_images_of_disjoint_classes(tmp_path):
    dataset = own_dataset("mine", FolderDataset(folder=str(images(tmp_path))))
    records = list(dataset().records({}))
    assert len(records) == 18
    table = pd.DataFrame([{"split": r.split, **r.labels} for r in records])
    assert table.groupby("split")["class"].nunique().to_dict() == {"train": 3, "test": 3}
    assert records[0].path == "class0/0.png"
    (tmp_path / "class9").mkdir()
    (tmp_path / "class9" / "1.tif").touch()
    with pytest.raises(ConfigError, match=r"class9' holds no images \(\.bmp, \.jpeg"):
        own_dataset("mine", dataset.folder)


def test_a_config_names_it_like_any_dataset(tmp_path, smoke_config):
    smoke_config["datasets"] = {"mine": {"folder": str(images(tmp_path / "images", each=4))}}
    smoke_config["evaluation"] = {"recall_at": [1], "nmi_plus": {"class": 2}}
    experiment = smoke_config["experiments"]["even_odd"]
    experiment["dataset"] = "mine"
    plan = resolve_config(smoke_config, "test")
    assert plan.datasets == ["mine"]
    assert dataset_of(plan, "mine").facts.train_classes == 3
    run = next(iter(plan.runs.values()))
    before = plan.fingerprint(run)
    smoke_config["datasets"]["mine"]["train_share"] = 0.3
    assert resolve_config(smoke_config, "test").fingerprint(run) != before


@pytest.mark.parametrize(
    ("name", "folder", "told"),
    [
        ("mine", "nowhere", "datasets.mine.folder: no folder 'nowhere'"),
        ("mine", "few", "'few' has 2 class folders; two are needed to train and two to test"),
        ("mine", "", r"datasets\.mine\.folder: string should have at least 1 character"),
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


def spoilt(folder, kind):
    """A folder of images with one thing in it that is no image."""
    place = images(folder) / "class2"
    if kind == "link":
        (place / "f.jpg").symlink_to("nowhere")
    elif kind == "class link":
        (folder / "class9").symlink_to("nowhere")
    elif kind == "folder":
        (place / "f.jpg").mkdir()
    elif kind == "pipe":
        os.mkfifo(place / "f.jpg")
    elif kind == "file name":
        (place / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    elif kind == "class name":
        place.rename(folder / os.fsdecode(b"caf\xe9"))
    elif kind == "line break":
        (place / "a\nb.png").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("link", r"class2/f\.jpg' is a link that leads nowhere; take it away or mend it"),
        ("class link", r"class9' is a link that leads nowhere"),
        ("folder", r"class2/f\.jpg' is a folder with an image's name"),
        ("pipe", r"class2/f\.jpg' is a pipe or device, no file"),
        ("file name", r"class2' holds b'caf\\xe9\.jpg', a name that is not UTF-8 text; rename it"),
        ("class name", r"images' holds b'caf\\xe9', a name that is not UTF-8 text"),
        ("line break", r"class2' holds b'a\\nb\.png', a name that is not UTF-8 text"),
    ],
)
def test_what_is_no_image_is_named_when_the_config_is_read(tmp_path, smoke_config, kind, told):
    folder = spoilt(tmp_path / "images", kind)
    smoke_config["datasets"] = {"mine": {"folder": str(folder)}}
    with pytest.raises(ConfigError, match=f"datasets.mine.folder: .*{told}") as caught:
        resolve_config(smoke_config, "test")
    assert len(str(caught.value).splitlines()) == 1


def test_too_few_images_for_a_measure_are_told_when_the_config_is_read(tmp_path, smoke_config):
    smoke_config["datasets"] = {"mine": {"folder": str(images(tmp_path))}}
    smoke_config["experiments"]["even_odd"]["dataset"] = "mine"
    smoke_config["evaluation"] = {"recall_at": [1], "nmi_plus": 10}
    with pytest.raises(ConfigError, match=r"10 clusters .* more than the 9 images of mine test"):
        resolve_config(smoke_config, "test")


def test_what_is_left_out_and_the_size_are_told_on_the_terminal(tmp_path):
    folder = images(tmp_path / "images")
    Image.new("RGB", (8, 8)).save(folder / "top.png")
    (folder / "class0" / "more").mkdir()
    (folder / "class0" / "scan.TIF").touch()
    done = prepared(tmp_path, folder)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 1)[1] for line in done.stderr.splitlines()]
    assert lines[0] == (
        "mine: left out: .tif files (1), .txt files (6), folders inside class folders (1), "
        "images beside the class folders (1)"
    )
    assert lines[1].startswith("mine/original: the store will take 0.0 MB of disk, ")
    assert len(lines) == 2


def test_a_damaged_image_of_ones_own_is_no_matter_of_archives(tmp_path):
    folder = images(tmp_path / "images")
    (folder / "class1" / "bad.jpg").write_bytes(b"no image")
    done = prepared(tmp_path, folder)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "error: mine: class1/bad.jpg cannot be read as an image (no known image format)" in line
    assert line.endswith("; mend it, or take it out of the folder")


def test_the_first_of_many_damaged_images_are_named_and_all_are_counted(tmp_path):
    folder = images(tmp_path / "images")
    for number in range(12):
        (folder / "class1" / f"bad{number:02d}.jpg").write_bytes(b"no image")
    dataset = own_dataset("mine", FolderDataset(folder=str(folder)))
    with pytest.raises(DataError) as told:
        prepare(dataset, {}, tmp_path / "out")
    first, *named, more = str(told.value).splitlines()
    assert first == "mine: 12 images cannot be read:"
    assert [f"class1/bad{n:02d}.jpg" in line for n, line in enumerate(named)] == [True] * 10
    assert more == "and 2 more"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_told_of_ones_own_folder(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    dataset = own_dataset("mine", FolderDataset(folder=str(images(tmp_path / "images"))))
    with pytest.raises(DataError, match=r"the store takes 0\.0 MB, but .* has only 0\.0 MB free"):
        prepare(dataset, {}, tmp_path / "out")


def prepared(tmp_path, folder):
    """What the script prints on the terminal when it has a log."""
    given = FolderDataset(folder=str(folder)).model_dump_json()
    return run_script(
        *("prepare", "--dataset", "mine", "--folder", given),
        *("--out", tmp_path / "out", "--log", tmp_path / "log"),
    )
