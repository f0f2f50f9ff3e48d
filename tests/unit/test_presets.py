"""Recipes that inherit: from presets, and from one another."""

import re

import pytest
from conftest import ROOT

from dmlbench.config import load_config, resolve_config
from dmlbench.config.plan import SHUFFLED
from dmlbench.config.presets import presets, with_base
from dmlbench.config.recipe import Recipe
from dmlbench.errors import ConfigError
from dmlbench.plugins.entries import entry


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_a_recipe_that_says_where_it_comes_from(name):
    preset = presets()[name]
    recipe = Recipe.model_validate(preset["recipe"])
    assert set(preset) == {"source", "reaches", "images", "differs", "recipe"}
    assert name in (ROOT / "docs" / "presets.md").read_text()
    if preset["images"][0].isdigit():
        told = [float(number) for number in re.findall(r"[\d.]+", preset["images"])]
        sizes = [entry("dataset", d).cls.facts.counts["train"] for d in ("cub200", "cars196")]
        assert told == [round(recipe.epochs * size / 1e6, 2) for size in sizes]


def test_a_recipe_has_the_keys_of_its_base_that_it_does_not_set():
    mine = {"base": "r50_128", "epochs": 9, "optimizer": {"lr": 1.0}}
    base = presets()["r50_128"]["recipe"]
    assert with_base("mine", {"mine": mine}) == base | {
        "epochs": 9,
        "optimizer": base["optimizer"] | {"lr": 1.0},
    }
    assert base["epochs"] == 150


def test_a_base_may_be_a_recipe_of_the_file_and_have_one_itself():
    given = {
        "r50_128": {"base": "r50_128", "epochs": 2},  # a preset of the same name
        "short": {"base": "r50_128", "embedding_dim": 64},
        "shorter": {"base": "short", "epochs": 1},
    }
    recipes = {name: with_base(name, given) for name in given}
    assert recipes["shorter"]["backbone"] == "resnet50"
    assert [recipes[name]["epochs"] for name in recipes] == [2, 2, 1]
    assert recipes["shorter"]["embedding_dim"] == 64


def test_a_schedule_or_head_of_another_kind_has_nothing_of_the_bases():
    base = {"schedule": {"name": "step", "every": 5}, "head": {"type": "mlp", "hidden": 9}}
    own = {"base": "a", "schedule": {"name": "cosine"}, "head": {"layer_norm": True}}
    made = with_base("b", {"a": base, "b": own})
    assert made["schedule"] == {"name": "cosine"}
    assert made["head"] == {"type": "mlp", "hidden": 9, "layer_norm": True}


@pytest.mark.parametrize(
    ("recipes", "told"),
    [
        ({"mine": {"base": "r50_12"}}, "recipes.mine.base: no preset .*did you mean 'r50_128'"),
        ({"mine": {"base": 5}}, "recipes.mine.base: should be the name of a preset .*got 5."),
        ({"mine": {"base": ["r50_128"]}}, "recipes.mine.base: should be the name of a preset"),
        ({"a": {"base": "b"}, "b": {"base": "a"}}, "recipes.b.base: leads back .* a -> b -> a"),
    ],
)
def test_a_base_that_is_none_is_named(smoke_config, recipes, told):
    smoke_config["recipes"] |= recipes
    with pytest.raises(ConfigError, match=told):
        resolve_config(smoke_config, "test")


def test_the_stored_config_needs_no_base(smoke_config):
    smoke_config["recipes"]["other"] = {"base": "digits_8d", "epochs": 1}
    plan = resolve_config(smoke_config, "test")
    assert "base" not in plan.benchmark.model_dump()["recipes"]["other"]
    assert plan.benchmark.recipes["other"].embedding_dim == 8


def test_backbones_are_compared_on_the_datasets_of_the_benchmark():
    whole, plan = (load_config(ROOT / f) for f in ("config.yaml", "configs/backbones.yaml"))
    datasets = {e.dataset for e in plan.benchmark.experiments.values()}
    assert datasets == {e.dataset for e in whole.benchmark.experiments.values()} - {
        "mnist_even_odd"  # of two training classes
    }
    trained = [run for run in plan.runs.values() if not run.recipe.endswith(SHUFFLED)]
    backbones, methods, seeds = 5, 3 + 1, 5
    assert len(trained) == backbones * methods * len(datasets) * seeds
    assert len(plan.runs) == len(trained) + len(plan.benchmark.experiments)
    assert f"# {len(plan.runs)} trainings" in (ROOT / "configs/backbones.yaml").read_text()
