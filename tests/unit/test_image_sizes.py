"""Images that do not become squares of one size are told when the config is read."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_enough import planned

from dmlbench.config import resolve_config
from dmlbench.errors import ConfigError


def folder(place, *shapes):
    """Six classes of six images; the last of them have the ``shapes``, all others 16 x 16."""
    rng = np.random.default_rng(0)
    sizes = [(16, 16)] * (36 - len(shapes)) + list(shapes)
    for number, (height, width) in enumerate(sizes):
        file = place / f"c{number // 6}" / f"{number % 6}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(height, width, 3), dtype=np.uint8)).save(file)
    return place


def plan_of(config, place, **recipe):
    config["recipes"]["digits_8d"] |= recipe
    return planned(config, place)


def told(config, place, **recipe):
    with pytest.raises(ConfigError) as error:
        plan_of(config, place, **recipe)
    return str(error.value)


REMEDY = (
    "; give the recipe an image_size, or end its transforms with CenterCrop or with Resize to "
    "[height, width]"
)
WHERE = "test: experiments.even_odd: recipe 'digits_8d': images of mine "


def test_images_of_several_sizes_are_one_line(tmp_path, smoke_config):
    place = folder(tmp_path / "images", (17, 16))
    assert told(smoke_config, place) == (
        f"{WHERE}differ in size, such as 16 x 16 (c0/0.png) and 17 x 16 (c5/5.png){REMEDY}"
    )


def test_images_that_are_no_squares_are_one_line(tmp_path, smoke_config):
    place = folder(tmp_path / "images", *[(9, 20)] * 36)
    assert told(smoke_config, place) == (
        f"{WHERE}are no squares, such as 9 x 20 (c0/0.png){REMEDY}"
    )


@pytest.mark.parametrize(
    "recipe",
    [
        {"image_size": 8},
        {"eval_transforms": [{"Resize": {"size": 8}}, {"CenterCrop": {"size": 8}}]},
        {"eval_transforms": [{"CenterCrop": {"size": 8}}]},
    ],
)
def test_a_recipe_that_fixes_the_size_takes_images_of_any(tmp_path, smoke_config, recipe):
    place = folder(tmp_path / "images", (17, 16))
    assert plan_of(smoke_config, place, **recipe).runs


@pytest.mark.parametrize(
    "recipe",
    [
        {"eval_transforms": [{"Resize": {"size": 8}}]},  # its short side
        {"train_transforms": [{"CenterCrop": {"size": 8}}]},  # evaluation sees whole images
        {"store": "resize256"},
    ],
)
def test_a_recipe_that_does_not_fix_the_size_is_one_line(tmp_path, smoke_config, recipe):
    place = folder(tmp_path / "images", (20, 10))
    assert told(smoke_config, place, **recipe).startswith(WHERE + "differ in size")


@pytest.mark.parametrize(("side", "right"), [(16, True), (17, False)])
def test_a_random_crop_larger_than_an_image_is_one_line(tmp_path, smoke_config, side, right):
    """It was told by the first batch that had the image."""
    place = folder(tmp_path / "images", (20, 20), (16, 16))
    recipe = {"train_transforms": [{"RandomCrop": {"size": side}}]}
    recipe["eval_transforms"] = [{"CenterCrop": {"size": side}}]
    if right:
        assert plan_of(smoke_config, place, **recipe).runs
        return
    line = told(smoke_config, place, **recipe)
    assert "its transforms cannot be done to an image of 16 x 16 pixels (" in line


def test_squares_of_several_sizes_are_one_size_in_a_resized_store(tmp_path, smoke_config):
    place = folder(tmp_path / "images", (20, 20))
    assert plan_of(smoke_config, place, store="resize256").runs


def test_boxes_decide_what_images_of_a_table_become(tmp_path, smoke_config):
    folder(tmp_path / "images", (17, 16))
    rows = [
        {"path": f"images/c{n // 6}/{n % 6}.png", "label": f"c{n // 6}", "split": split}
        for n, split in enumerate(["train"] * 18 + ["test"] * 18)
    ]
    table = pd.DataFrame(rows).assign(x_1=0, y_1=0, x_2=8, y_2=8)
    table.to_csv(tmp_path / "table.csv", index=False)
    mine = {"datasets": {"mine": {"table": str(tmp_path / "table.csv")}}}
    assert planned(smoke_config, tmp_path, **mine).runs
    table.assign(x_2=[20] * 35 + [8]).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(ConfigError, match=r"8 x 16 \(.*\) and 8 x 8 \("):
        planned(smoke_config, tmp_path, **mine)


def test_a_dataset_that_says_that_its_images_differ_is_one_line(smoke_config):
    smoke_config["experiments"]["even_odd"]["dataset"] = "cub200"
    with pytest.raises(ConfigError, match="images of cub200 differ in size; give the recipe"):
        resolve_config(smoke_config, "test")
    smoke_config["recipes"]["digits_8d"]["image_size"] = 8
    assert resolve_config(smoke_config, "test").runs
