"""One small network of each of timm's families does what the rehearsal of a config says of it."""

import re

import pytest
import timm
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
    for module in timm.list_modules():
        if names := timm.list_models(module=module):
            yield min(names, key=lambda name: (rank(name), len(name), name))


def rank(name):
    return next((n for n, size in enumerate(SIZES) if re.search(size, name)), len(SIZES))


@pytest.mark.slow
@pytest.mark.parametrize("name", small_ones())
def test_each_way_to_pool_makes_as_many_features_as_are_counted(name):
    counted, side = inspect_network(name, None), usual_size(name)
    for way, features in counted.items():
        recipe = REST | {"backbone": name, "pooling": way, "embedding_dim": features}
        with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
            model = Embedder(recipe, 3, side)
            assert model.num_features == features
            assert model(torch.zeros(2, 3, side, side)).shape == (2, features)
