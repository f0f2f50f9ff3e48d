"""Ranking losses in trainings: they learn, tell their numbers, and go on exactly after a stop."""

import copy

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from training_runs import RUN, config_file, trained_in_parts

from dmlbench.config import resolve_config
from dmlbench.data.dataset import get_dataset
from dmlbench.errors import ConfigError
from dmlbench.training.loop import Trainer
from dmlbench.training.session import train_run

DATASET = get_dataset("digits_even_odd")
RANKING = [
    {"type": "smooth_ap"},
    {"type": "roadmap"},
    {"type": "recall_at_k"},
    {"type": "recall_at_k", "simix": True},
]


def with_ranking(config, loss, epochs):
    config["losses"] = {"triplet": loss}
    config["samplers"] = {name: {"per_class": 8} for name in ("random", "eps")}
    config["recipes"]["digits_8d"] |= {"batch_size": 16, "epochs": epochs}
    return config


@pytest.mark.parametrize("loss", RANKING, ids=str)
def test_a_ranking_loss_learns_and_tells_its_numbers(smoke_config, store, loss):
    plan = resolve_config(with_ranking(smoke_config, loss, epochs=4), "test")
    spec = copy.deepcopy(plan.spec(plan.run_by_id(RUN)))
    history = pd.DataFrame(Trainer(spec, DATASET, store).train().history)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert history["recall_at_1_val"].iloc[-1] > 0.85
    assert history["active_ranks"].between(0, 1).all()
    assert history["active_ranks"].iloc[-1] < history["active_ranks"].iloc[0]
    assert ("simix_positives" in history) == loss.get("simix", False)
    assert ("calibration" in history) == (loss["type"] == "roadmap")


def test_a_simix_training_left_at_every_place_ends_as_one_that_was_not(tmp_path, monkeypatch):
    file = config_file(tmp_path)
    config = with_ranking(yaml.safe_load(file.read_text()), RANKING[-1], epochs=1)
    monkeypatch.chdir(tmp_path)
    plan = resolve_config(config, "test")
    train_run(plan, plan.run_by_id(RUN))
    kept = plan.run_folder(plan.run_by_id(RUN)) / "model_last.safetensors"
    whole = kept.read_bytes()
    assert trained_in_parts(plan, steps=20) > 2
    assert kept.read_bytes() == whole


@pytest.mark.parametrize("loss", RANKING, ids=str)
def test_a_sampler_that_chooses_is_refused_with_what_to_do(smoke_config, loss):
    smoke_config["losses"]["triplet"] = loss
    told = "takes whole batches and no tuples; give it sampler none, or one with per_class only"
    with pytest.raises(ConfigError, match=told):
        resolve_config(smoke_config, "test")


RIVALS = {
    "smooth_ap": ({"type": "smooth_ap"}, "r50_512_recall_at_k"),
    "roadmap": ({"type": "roadmap"}, "r50_512_roadmap"),
    "recall_at_k": ({"type": "recall_at_k", "simix": True}, "r50_512_recall_at_k"),
    "proxy_nca_pp": (
        {"type": "proxy_nca", "positive_in_denominator": True, "proxy_lr": 50.0},
        "r50_512_proxy_nca_pp",
    ),
    "proxy_anchor": (
        {"type": "pytorch_metric_learning.losses.ProxyAnchorLoss", "loss_lr": 1.0e-2},
        "r50_512_proxy_anchor",
    ),
}


def of_preset(config, name, dataset, **recipe):
    loss, preset = RIVALS[name]
    config["losses"], config["samplers"] = {"mine": loss}, {"four": {"per_class": 4}}
    config["recipes"] = {"preset": {"base": preset, **recipe}}
    sampler = "none" if name == "proxy_anchor" else "four"
    method = {"loss": "mine", "sampler": sampler}
    config["experiments"] = {
        "rivals": {"dataset": dataset, "recipe": "preset", "methods": [method]}
    }
    config["evaluation"] = {}
    return config


@pytest.mark.parametrize("dataset", ["cub200", "cars196"])
@pytest.mark.parametrize("name", RIVALS)
def test_each_method_goes_with_its_preset_while_a_tenth_of_the_classes_is_held_out(
    smoke_config, name, dataset
):
    plan = resolve_config(of_preset(smoke_config, name, dataset), "test")
    runs = [run for run in plan.runs.values() if run.loss == "mine" and run.recipe == "preset"]
    assert len(runs) == 2  # seeds


def test_batches_of_more_classes_than_there_are_to_train_on_are_refused(smoke_config):
    config = of_preset(smoke_config, "recall_at_k", "cub200", batch_size=400, chunk=100)
    told = (
        "batch_size 400 with per_class 4 needs 100 classes, but cub200 has 90 to train on; "
        "raise per_class to 5 or more"
    )
    with pytest.raises(ConfigError, match=told):
        resolve_config(config, "test")


def test_the_proxies_of_proxy_anchor_learn_a_hundred_times_as_fast(smoke_config, store):
    """Its preset's optimiser, and five epochs in which only head and proxies move."""
    plan = resolve_config(of_preset(smoke_config, "proxy_anchor", "cub200"), "test")
    recipe = next(iter(plan.recipes.values()))
    assert recipe["warmup_head_epochs"] == 5
    assert recipe["optimizer"]["name"] == "adamw"
    assert plan.losses["mine"]["loss_lr"] == 100 * recipe["optimizer"]["lr"]


def test_the_large_batches_of_the_docs_are_a_valid_recipe(smoke_config):
    text = (ROOT / "docs" / "methods.md").read_text()
    shown = yaml.safe_load(text.split("**Ranking losses**")[1].split("```")[1].removeprefix("yaml"))
    methods = [{"loss": "rs_at_k", "sampler": "four"}]
    made = {"dataset": "cub200", "recipe": "large", "methods": methods}
    config = smoke_config | shown | {"experiments": {"large": made}, "evaluation": {}}
    plan = resolve_config(config, "test")
    assert plan.recipes["large"]["batch_size"] == 400
