"""What only a pass through a network shows is known when the config is read."""

import pytest

from dmlbench.config import resolve_config
from dmlbench.config.backbone_checks import backbone_problems
from dmlbench.config.network_checks import freezing_problems
from dmlbench.config.recipe import Recipe
from dmlbench.errors import ConfigError

#: Networks of timm whose pass gives more features than their ``num_features`` says.
WIDER = {"vgg11": 4096, "mobilenetv3_small_050": 1024, "efficientvit_b0": 1280}


def recipe(backbone, **changes):
    given = {"batch_size": 4, "epochs": 1, "embedding_dim": 8, "image_size": 64}
    return Recipe(backbone=backbone, **given | changes)


@pytest.mark.parametrize("backbone", WIDER)
def test_features_are_counted_by_a_pass(backbone):
    without_head = {"head": {"type": "none"}}
    right = recipe(backbone, embedding_dim=WIDER[backbone], **without_head)
    assert list(backbone_problems(right, "r")) == []
    (told,) = backbone_problems(recipe(backbone, **without_head), "r")
    assert f"take embedding_dim: {WIDER[backbone]} (got 8)" in told


def test_images_too_small_for_a_network_are_one_line():
    (told,) = backbone_problems(recipe("inception_v3", image_size=32), "r")
    assert told.startswith("r.image_size: inception_v3 cannot take images of 32 x 32 pixels (")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"batch_size": 1, "image_size": 32}, False),
        ({"batch_size": 1, "image_size": 32, "freeze": "batch_norm"}, True),
        ({"batch_size": 1, "image_size": 64}, True),  # maps of 2 x 2 pixels
        ({"batch_size": 2, "image_size": 32}, True),
    ],
)
def test_batch_norm_on_one_image_is_one_line(changes, right):
    told = list(freezing_problems(recipe("resnet18", **changes), "r"))
    assert len(told) == (not right)
    for line in told:
        assert line.startswith("r.batch_size: the network cannot train on one image at a time (")


def lines_of(*arguments, **changes):
    return list(freezing_problems(recipe(*arguments, **changes), "r"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"chunk": 2}, "r.chunk: dropout backbone.layers.0.blocks.1.drop_path1 differs between"),
        ({"chunk": 2, "freeze": "backbone"}, ""),  # its dropout is not active
    ],
)
def test_dropout_in_chunks_is_one_line(changes, told):
    lines = lines_of("swin_tiny_patch4_window7_224", image_size=224, **changes)
    assert len(lines) == bool(told)
    assert all(line.startswith(told) for line in lines)


def test_a_rate_of_a_layer_below_the_schedules_is_one_line():
    """The first of its layers learns at 1e-3 x 0.1^n."""
    rates = {"optimizer": {"lr": 1e-3, "layer_decay": 0.1}}
    cosine = {"epochs": 2, "schedule": {"name": "cosine", "min_lr": 1e-6}}
    (line,) = lines_of("resnet18", **rates, **cosine)
    assert line.startswith("r.schedule.min_lr: 1e-06 is not below 1e-")
    cosine["schedule"]["min_lr"] = 0.0
    assert lines_of("resnet18", **rates, **cosine) == []


def test_a_rate_of_the_loss_below_the_schedules_is_told(smoke_config):
    smoke_config["recipes"]["digits_8d"] |= {
        "epochs": 2,
        "optimizer": {"lr": 0.1},
        "schedule": {"name": "cosine", "min_lr": 1e-3},
    }
    smoke_config["losses"]["triplet"] = {"type": "margin", "beta_lr": 1e-3}
    with pytest.raises(
        ConfigError, match=r"min_lr 0\.001 is not below 0\.001, the rate of the loss"
    ):
        resolve_config(smoke_config, "test")
    smoke_config["losses"]["triplet"]["beta_lr"] = 2e-3
    assert resolve_config(smoke_config, "test").runs
