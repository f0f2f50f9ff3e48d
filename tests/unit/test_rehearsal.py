"""What only a pass through a network shows is known when the config is read."""

import pytest

from dmlbench.config.backbone_checks import backbone_problems
from dmlbench.config.network_checks import freezing_problems
from dmlbench.config.recipe import Recipe

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
