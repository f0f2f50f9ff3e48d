"""One small network of each of timm's families does what the rehearsal of a config says of it."""

import re

import pytest
import torch

from dmlbench.config.recipe import Head
from dmlbench.models.embedder import Embedder
from dmlbench.plugins.timm_names import usual_size
from dmlbench.plugins.timm_networks import inspect_network

#: What timm calls the small ones, the smallest first.
SIZES = ("test", "atto", "femto", "nano", "pico", "tiny", "small", "_s", "b0", "18", "050")
REST = {"weights": "none", "normalize": True, "head": Head(type="none").model_dump()}


def small_ones():
    """The name of a small network of each module of timm."""
    import timm  # not where tests are collected: it takes seconds

    for module in timm.list_modules():
        if names := timm.list_models(module=module):
            yield min(names, key=lambda name: (rank(name), len(name), name))


def rank(name):
    return next((n for n, size in enumerate(SIZES) if re.search(size, name)), len(SIZES))


def wrong(name):
    """The ways to pool of which the rehearsal counts other features than a pass makes."""
    side = usual_size(name)
    for way, features in inspect_network(name, None).items():
        recipe = REST | {"backbone": name, "pooling": way, "embedding_dim": features}
        with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
            model = Embedder(recipe, 3, side)
            made = model(torch.zeros(2, 3, side, side)).shape
        if (model.num_features, *made) != (features, 2, features):
            yield way


@pytest.mark.slow
def test_each_way_to_pool_makes_as_many_features_as_are_counted():
    found = {name: list(wrong(name)) for name in small_ones()}
    assert {name for name, ways in found.items() if ways} == set()
    assert len(found) > 50
