"""All that is wrong with a config is told at once, whatever else is wrong with it."""

import copy

import pytest
from test_enough import noise, planned

from dmlbench.config import resolve_config
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


def test_mistakes_of_form_do_not_hide_the_others(tmp_path, smoke_config):
    """Issue: what the schema finds was told first, all else when that was mended."""
    smoke_config["recipes"]["digits_8d"]["epocs"] = 3
    smoke_config["recipes"]["other"] = {"base": "r50_18"}
    smoke_config["losses"]["margin"] = {"type": "margn"}
    smoke_config["seds"] = [1]
    lines = told(
        smoke_config,
        noise(tmp_path / "images", [1] * 6),
        evaluation=EVALUATION | {"kmeans_seds": [0]},
        seeds=["a"],
        projection={"seeds": [7]},
    )
    holds(
        lines,
        "recipes.other.base: no preset or recipe (got 'r50_18'); did you mean 'r50_128'?",
        "seeds.0: ",
        "recipes.digits_8d.epocs: unknown key (got 3); did you mean 'epochs'?",
        "evaluation.kmeans_seds: unknown key",
        "seds: unknown key",
        "losses.margin: ",
    )


def test_what_is_right_beside_a_mistake_of_form_is_checked(tmp_path, smoke_config):
    recipes = smoke_config["recipes"]
    recipes["late"] = recipes["digits_8d"] | {"batch_size": 60}
    other = smoke_config["experiments"]["even_odd"] | {"dataset": "mine", "recipe": "late"}
    smoke_config["experiments"]["late"] = other
    smoke_config["experiments"]["even_odd"]["titel"] = "x"
    lines = told(
        smoke_config,
        noise(tmp_path / "images", [6] * 6),
        evaluation=EVALUATION | {"kmeans_seds": [0]},
    )
    assert "experiments.even_odd.titel: unknown key" in lines[0]
    assert "evaluation.kmeans_seds: unknown key" in lines[1]
    assert "evaluation.recall_at: 99 is not below the 18 images of mine test" in lines[2]
    assert all("batch_size 60 with per_class 2 needs 30 classes" in line for line in lines[3:])
    assert len(lines) > 3


def test_a_mistake_in_a_base_is_told_once(smoke_config):
    smoke_config["recipes"]["digits_8d"]["epocs"] = 3
    smoke_config["recipes"] |= {"b": {"base": "digits_8d"}, "c": {"base": "b", "crop": "nonne"}}
    holds(
        refused(smoke_config),
        "recipes.digits_8d.epocs: unknown key",
        "recipes.c.crop: ",
    )


@pytest.mark.parametrize("section", ["name", "seeds", "recipes", "losses", "samplers"])
@pytest.mark.parametrize("value", [None, 7.5, "x y", [], float("nan")])
def test_nothing_follows_from_a_section_that_is_wrong(smoke_config, section, value):
    smoke_config[section] = value
    for line in refused(smoke_config):
        assert line.startswith(f"test: {section}"), line


def refused(config):
    with pytest.raises(ConfigError) as error:
        resolve_config(config, "test")
    return str(error.value).splitlines()
