"""All that is wrong with a config is told at once, whatever else is wrong with it."""

import copy

import pytest
from test_enough import noise, planned

from dmlbench.errors import ConfigError


def told(config, folder, **changes):
    with pytest.raises(ConfigError) as error:
        planned(config, folder, **changes)
    return str(error.value).splitlines()


def holds(lines, *wanted):
    """Each line has its words, and there is no other one."""
    assert len(lines) == len(wanted), lines
    assert all(words in line for line, words in zip(lines, wanted, strict=True)), lines


EVALUATION = {"recall_at": [99], "metrics": ["recall"]}


def test_mistakes_of_all_sections_are_told_together(tmp_path, smoke_config):
    """Issue: they were told stage by stage."""
    smoke_config["recipes"]["digits_8d"] |= {"backbone": "resnet5O", "weights": "mine.pth"}
    smoke_config["losses"]["triplet"]["margn"] = 0.1
    folder = noise(tmp_path / "images", [3] * 6)  # too small for validation and for K
    holds(
        told(smoke_config, folder, evaluation=EVALUATION, selections=["last", "val"]),
        "losses.triplet.margn",
        "recipes.digits_8d.widths: only small_cnn has it",
        "recipes.digits_8d.backbone: neither small_cnn nor a model of timm (got 'resnet5O')",
        "recipes.digits_8d.weights: no file mine.pth",
        "evaluation.recall_at: 99 is not below the 9 images of mine test",
        "no class of mine to train on has four",
    )


def test_a_mistake_in_an_entry_does_not_hide_those_of_other_experiments(tmp_path, smoke_config):
    other = copy.deepcopy(smoke_config["experiments"]["even_odd"])
    smoke_config["recipes"]["large"] = smoke_config["recipes"]["digits_8d"] | {"batch_size": 60}
    smoke_config["experiments"]["large"] = other | {"dataset": "mine", "recipe": "large"}
    smoke_config["experiments"]["even_odd"]["sweep"] = {"loss.margin": [0.1, 0.2]}
    smoke_config["losses"]["triplet"]["margn"] = 0.1
    lines = told(smoke_config, noise(tmp_path / "images", [6] * 6))
    assert "losses.triplet.margn" in lines[0]  # once, not again for each value of the sweep
    assert all("batch_size 60 with per_class 2 needs 30 classes" in line for line in lines[1:])
    assert len(lines) > 1
