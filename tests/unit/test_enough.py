"""Images too few to train on or to choose an epoch by are refused; those unused are counted."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dmlbench.config import resolve_config
from dmlbench.config.dataset_facts import Part
from dmlbench.config.variation import constant
from dmlbench.data.folder import dataset_of
from dmlbench.data.prepare import prepare
from dmlbench.data.splits import VALIDATION, validation_mask
from dmlbench.data.store import ImageStore
from dmlbench.errors import ConfigError
from dmlbench.training.enough import counts
from dmlbench.training.loop import Trainer
from dmlbench.training.training_images import TrainingImages
from dmlbench.workflow.job_records import learnt_nothing

CPU = torch.device("cpu")


def noise(folder, sizes):
    """A folder of classes with so many images of 8 x 8 each; ``0`` copies one image four times."""
    rng = np.random.default_rng(0)
    for number, size in enumerate(sizes):
        place = folder / f"c{number}"
        place.mkdir(parents=True)
        one = rng.integers(256, size=(8, 8, 3), dtype=np.uint8)
        for image in range(size or 4):
            pixels = rng.integers(256, size=one.shape, dtype=np.uint8) if size else one
            Image.fromarray(pixels).save(place / f"{image}.png")
    return folder


def planned(config, folder, **changes):
    """The plan of the smoke config on a folder of images."""
    config["datasets"] = {"mine": {"folder": str(folder)}}
    config["experiments"]["even_odd"]["dataset"] = "mine"
    config["evaluation"] = {"recall_at": [1], "metrics": ["recall"]}
    config["recipes"]["digits_8d"] |= {"batch_size": 6, "widths": [4], "epochs": 2}
    config["samplers"] = {
        "random": {"per_class": 2, "positive": "random", "negative": "random"},
        "eps": {"per_class": 2, "positive": "easy", "negative": "random"},
    }
    return resolve_config(config | {"controls": []} | changes, "test")


def trained_on(plan, folder):
    """What a run of the plan trains on."""
    dataset = dataset_of(plan, "mine")
    if not (folder / "index.parquet").exists():
        prepare(dataset, {}, folder)
    spec = copy.deepcopy(plan.spec(next(iter(plan.runs.values()))))
    return spec, dataset, ImageStore(folder)


@pytest.mark.parametrize("size", [4, 6, 14, 15, 40])
def test_images_held_out_can_be_matched_and_so_can_those_that_are_left(size):
    index = pd.DataFrame({"split": "train", "label": np.repeat([0, 1, 2], size)})
    index["content"] = np.arange(len(index))
    held = validation_mask(index, "label", 0.1, "made")
    for _, some in index.assign(held=held).groupby("label")["held"]:
        assert some.sum() == max(2, round(0.1 * size))
        assert (~some).sum() >= 2


@pytest.mark.parametrize("size", [1, 2, 3])
def test_nothing_is_held_out_of_a_class_that_needs_its_images(size):
    index = pd.DataFrame({"split": "train", "label": [0] * size + [1] * 20})
    index["content"] = np.arange(len(index))
    held = validation_mask(index, "label", 0.5, "made")
    assert held[:size].sum() == 0
    assert held[size:].sum() == 10


def test_copies_are_one_image_of_a_class():
    index = pd.DataFrame({"split": "train", "label": [0] * 8, "content": [0, 0, 0, 0, 0, 5, 6, 7]})
    held = validation_mask(index, "label", 0.1, "made")
    assert index.loc[held, "content"].nunique() == 2
    assert index.loc[~held, "content"].nunique() == 2


def test_selection_by_validation_moves_where_classes_are_small(tmp_path, smoke_config):
    """Issue: with one image held out of each class, Recall@1 was 0 in every epoch."""
    plan = planned(smoke_config, noise(tmp_path / "images", [6] * 6))
    images = TrainingImages(*trained_on(plan, tmp_path), CPU)
    held = images.index[images.index["split"] == VALIDATION]
    assert held["class"].value_counts().tolist() == [2, 2, 2]
    assert constant(images.monitors["val"], images.index) == ""


INDEX = {"a": list("aabb"), "lone": list("abcd"), "one": list("aaaa"), "content": [0, 1, 2, 3]}


@pytest.mark.parametrize(
    ("label", "content", "why"),
    [
        ("a", [0, 1, 2, 3], None),
        ("a", [0, 1, 2, 2], None),
        ("lone", [0, 1, 2, 3], "each class has one image"),
        ("one", [0, 1, 2, 3], "all images are of one class"),
        ("a", [0, 0, 2, 2], "has a copy of itself in the gallery"),
    ],
)
def test_a_measure_that_cannot_vary_is_told(label, content, why):
    index = pd.DataFrame(INDEX | {"content": content, "split": VALIDATION})
    told = constant(Part(VALIDATION, "", label), index)
    assert told == "" if why is None else why in told
    assert "no images of test" in constant(Part("test", "", label), index)


def test_a_gallery_apart_decides_whether_a_measure_can_vary():
    index = pd.DataFrame({"a": list("aabb"), "split": "test", "content": range(4)})
    part = Part("test", "", "a")
    assert constant(part, index.assign(role=["query", "gallery", "gallery", "gallery"])) == ""
    told = constant(part, index.assign(role=["query", "query", "gallery", "gallery"]))
    assert "cannot vary" in told


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([3] * 6, "val takes two images of a class and leaves two, but no class of mine to train"),
        ([1, 1, 1, 4, 4, 4], "a positive is another image of the class, but each class of mine to"),
        ([4, 4, 4, 1, 1, 1], "in mine test each class has one image of class: no measure could"),
    ],
)
def test_too_few_images_are_told_when_the_config_is_read(tmp_path, smoke_config, sizes, told):
    with pytest.raises(ConfigError, match=told):
        planned(smoke_config, noise(tmp_path, sizes))


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([0, 0, 0, 6, 6, 6], ["no class has two different images"]),
        ([6, 6, 6, 0, 0, 0], ["selections: test_max: Recall@1 of test class cannot vary: each"]),
    ],
)
def test_copies_are_told_before_the_first_step(tmp_path, smoke_config, sizes, told):
    folder = noise(tmp_path / "images", sizes)
    plan = planned(smoke_config, folder, selections=["last", "test_max"])
    with pytest.raises(ConfigError) as refused:
        Trainer(*trained_on(plan, tmp_path))
    lines = str(refused.value).splitlines()
    assert len(lines) == len(told)
    for line, part in zip(lines, told, strict=True):
        assert line.startswith("mine: ")
        assert part in line


def test_a_class_of_one_image_trains_with_per_class_and_is_counted(tmp_path, smoke_config):
    """Issue: it was held out, and a batch asked for more classes than were left."""
    plan = planned(smoke_config, noise(tmp_path / "images", [6, 6, 1, 6, 6, 6]))
    trainer = Trainer(*trained_on(plan, tmp_path))
    assert len(trainer.train().history) == 2
    assert counts(trainer.images, 99) == {
        "images": 9,
        "classes": 3,
        "held_out": 4,
        "held_out_classes": 0,
        "without_positive": 1,
        "never_drawn": 0,
    }


def test_too_few_classes_for_a_batch_are_one_line(tmp_path, smoke_config):
    plan = planned(smoke_config, noise(tmp_path / "images", [6] * 6))
    spec, *others = trained_on(plan, tmp_path)
    spec["recipe"]["batch_size"] = 8
    told = "mine: a batch takes 4 classes, but 3 are left to train on; raise per_class"
    with pytest.raises(ConfigError, match=told):
        Trainer(spec, *others)


def test_images_that_fill_no_batch_are_counted(tmp_path, smoke_config):
    plan = planned(smoke_config, noise(tmp_path / "images", [6] * 6))
    spec, *others = trained_on(plan, tmp_path)
    spec["sampler"]["per_class"], spec["recipe"]["batch_size"] = None, 7
    images = TrainingImages(spec, *others, CPU)
    assert counts(images, 1)["never_drawn"] == 12 - 7
    assert counts(images, 50)["never_drawn"] == 0


MINER = {"type": "pytorch_metric_learning.miners.TripletMarginMiner", "margin": -5}


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        ("triplet", "no tuple was active in any step"),
        ("pytorch_metric_learning.losses.TripletMarginLoss", "the loss was 0 in every step"),
    ],
)
def test_a_miner_that_chooses_nothing_teaches_nothing(tmp_path, smoke_config, loss, why):
    plan = planned(smoke_config, noise(tmp_path / "images", [6] * 6))
    spec, *others = trained_on(plan, tmp_path)
    spec["loss"] = {"name": "triplet", "type": loss}
    assert learnt_nothing(Trainer(spec, *others).train().history) == ""
    spec["sampler"] = {"per_class": 2, "positive": None, "negative": None, "miner": MINER}
    assert learnt_nothing(Trainer(spec, *others).train().history) == why
