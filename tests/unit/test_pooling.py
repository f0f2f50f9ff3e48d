"""Pooling and heads: each formula, and what an architecture does not have."""

import copy

import numpy as np
import pytest
import timm
import torch
from test_backbones import recipe

from dmlbench.errors import ConfigError
from dmlbench.models.embedder import Embedder
from dmlbench.models.heads import build_head
from dmlbench.models.pooling import Pooling, set_pooling

OF_ALL = {
    "avg": lambda x: x.mean(1),
    "max": lambda x: x.max(1),
    "avg_max": lambda x: x.mean(1) + x.max(1),
    "gem": lambda x: np.mean(np.maximum(x, 1e-6) ** 3, 1) ** (1 / 3),
}
LINEAR = {"type": "linear", "hidden": None, "layer_norm": False, "bias": True}


def pooled(name, kind, size=64):
    """A model of timm, the same with another pooling, and images."""
    torch.manual_seed(0)
    known = timm.get_pretrained_cfg(name)
    options = {"img_size": size} if known.fixed_input_size else {}
    model = timm.create_model(name, num_classes=0, **options).eval()
    other = copy.deepcopy(model)
    set_pooling(other, name, kind)
    return model, other, torch.rand(2, 3, size, size)


@pytest.mark.parametrize("kind", OF_ALL)
@torch.no_grad()
def test_a_map_is_pooled_by_its_formula(kind):
    model, other, images = pooled("test_resnet", kind)
    values = model.forward_features(images).flatten(2).double().numpy()
    wanted = OF_ALL[kind](values.transpose(0, 2, 1))
    np.testing.assert_allclose(other(images).numpy(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", OF_ALL)
@pytest.mark.parametrize(
    "name", ["test_vit", "deit_tiny_distilled_patch16_224", "vit_pwee_patch16_reg1_gap_256"]
)
@torch.no_grad()
def test_tokens_are_pooled_without_prefix_tokens(kind, name):
    model, other, images = pooled(name, kind)
    tokens = model.forward_features(images)
    values = tokens[:, model.num_prefix_tokens :].double().numpy()
    assert values.shape[1] == 16
    wanted = OF_ALL[kind](values)
    if hasattr(model, "fc_norm"):
        wanted = model.fc_norm(torch.from_numpy(wanted).float()).numpy()
    np.testing.assert_allclose(other(images).numpy(), wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_class_tokens_are_the_first():
    for name in ("test_vit", "deit_tiny_distilled_patch16_224"):
        model, other, images = pooled(name, "cls")
        tokens = model.forward_features(images)
        assert torch.equal(other(images), tokens[:, 0])
        _, both, _ = pooled(name, "cls_avg")
        average = tokens[:, model.num_prefix_tokens :].mean(1)
        torch.testing.assert_close(both(images), torch.cat([tokens[:, 0], average], 1))


@pytest.mark.parametrize(
    "name",
    ["test_resnet", "test_convnext", "test_efficientnet", "test_vit2", "mobilenetv3_small_050"],
)
@torch.no_grad()
def test_asking_for_what_timm_does_changes_nothing(name):
    model, other, images = pooled(name, "cls" if name == "test_vit" else "avg")
    torch.testing.assert_close(other(images), model(images))


def test_gem_learns_its_exponent_and_goes_from_average_to_maximum():
    values = torch.rand(2, 5, 3, 3, dtype=torch.float64) + 0.1
    gem = Pooling("gem", over=(2, 3))
    assert gem.p.item() == 3
    gem.double()(values).sum().backward()
    # The derivative of a power mean by its exponent, at 3.
    v = values.flatten(2).numpy()
    mean = (v**3).mean(2)
    slope = mean ** (1 / 3) * ((v**3 * np.log(v)).mean(2) / (3 * mean) - np.log(mean) / 9)
    assert gem.p.grad.item() == pytest.approx(slope.sum())
    with torch.no_grad():
        gem.p.fill_(1)
        torch.testing.assert_close(gem(values), values.mean((2, 3)))
        gem.p.fill_(500)
        torch.testing.assert_close(gem(values), values.amax((2, 3)), rtol=0.01, atol=0)


def test_a_pooled_network_can_be_copied_and_keeps_the_names_of_its_weights():
    model = Embedder(recipe("test_vit", pooling="gem"), 3, 64).eval()
    plain = Embedder(recipe("test_vit"), 3, 64)
    twin, images = copy.deepcopy(model), torch.rand(2, 3, 64, 64)
    assert torch.equal(twin(images), model(images))
    with torch.no_grad():
        next(twin.backbone.parameters()).add_(1)
    assert not torch.equal(twin(images), model(images))
    assert set(model.state_dict()) - set(plain.state_dict()) == {"backbone.token_pooling.patches.p"}


def test_an_attention_that_pools_is_taken_out():
    model, other, images = pooled("vit_base_patch32_siglip_256", "avg", 64)
    assert any("attn_pool" in name for name, _ in model.named_parameters())
    assert not any("attn_pool" in name for name, _ in other.named_parameters())
    assert other(images).shape == (2, 768)


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("test_resnet", "cls", "test_resnet has no 'cls'; it can be pooled by avg, max"),
        ("vit_pwee_patch16_reg1_gap_256", "cls_avg", "can be pooled by avg, max, avg_max, gem"),
        ("volo_d1_224", "avg", "volo_d1_224 has no 'avg'; leave it out"),
    ],
)
def test_a_pooling_that_the_architecture_has_not_is_one_line(name, kind, told):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    with pytest.raises(ConfigError, match=told):
        set_pooling(model, name, kind)


def test_the_plain_head_is_a_linear_layer():
    torch.manual_seed(0)
    mine = build_head(LINEAR, 5, 3)
    torch.manual_seed(0)
    theirs = torch.nn.Linear(5, 3)
    assert type(mine) is torch.nn.Linear
    assert torch.equal(mine.weight, theirs.weight)
    assert torch.equal(mine.bias, theirs.bias)


def test_heads_are_what_their_words_say():
    features = torch.rand(4, 5)
    centred = features - features.mean(1, keepdim=True)
    normed = centred / (features.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    mlp = build_head({**LINEAR, "type": "mlp", "layer_norm": True, "hidden": 7}, 5, 3)
    _, first, _, second = mlp
    wanted = (normed @ first.weight.T + first.bias).relu() @ second.weight.T + second.bias
    torch.testing.assert_close(mlp(features), wanted)
    assert first.out_features == 7
    assert build_head({**LINEAR, "type": "mlp"}, 5, 3)[0].out_features == 5
    plain = build_head({**LINEAR, "layer_norm": True, "bias": False}, 5, 3)
    assert [name for name, _ in plain.named_parameters()] == ["1.weight"]
    torch.testing.assert_close(plain(features), normed @ plain[1].weight.T)
    none = build_head({**LINEAR, "type": "none"}, 5, 5)
    assert torch.equal(none(features), features)
    torch.testing.assert_close(
        build_head({**LINEAR, "type": "none", "layer_norm": True}, 5, 5)(features), normed
    )


def test_without_a_head_the_dimensions_must_agree():
    given = recipe("small_cnn", head={"type": "none"}, embedding_dim=8)
    with pytest.raises(ConfigError, match=r"embedding is the 256 features .* 256 \(got 8\)"):
        Embedder(given, 1, 8)
    assert Embedder(given | {"embedding_dim": 256}, 1, 8)(torch.rand(2, 1, 8, 8)).shape == (2, 256)
