"""Backbones: any of timm's at any size it takes, with the features that timm gives."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed

from dmlbench.config.recipe import Recipe
from dmlbench.data.reader import input_format
from dmlbench.errors import ConfigError
from dmlbench.models.backbones import build_backbone
from dmlbench.models.embedder import Embedder

#: A name, its side in pixels, and the number of its features.
BACKBONES = {
    "vit_small_patch14_dinov2": 384,
    "vit_small_patch16_224": 384,
    "deit_small_distilled_patch16_224": 384,
    "vit_base_patch16_clip_224": 768,
    "convnext_tiny": 768,
    "resnet50": 2048,
    "tf_efficientnet_lite0": 1280,
}
PATCH_14 = "patches of 14 pixels, which do not divide 96; take 84 or 98"


def recipe(backbone, **changes):
    """A resolved recipe."""
    given = {"backbone": backbone, "embedding_dim": 8, "batch_size": 4, "epochs": 1}
    return Recipe(**{**given, **changes}).model_dump(mode="json")


def timms(model, images):
    """Features as timm gives them."""
    return model.forward_head(model.forward_features(images), pre_logits=True)


def made_weights(folder):
    """A file of weights of a small network of timm's, named like timm's; alone in a folder."""
    torch.manual_seed(1)
    model = timm.create_model("test_resnet", num_classes=10)
    file = folder / "weights" / "test_resnet.r160_in1k.safetensors"
    file.parent.mkdir()
    save_file(model.state_dict(), file)
    return file


@pytest.fixture
def weights(tmp_path):
    return made_weights(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_when_the_network_is_built(weights, value):
    tensors = load_file(weights)
    name = next(key for key in tensors if key.endswith("running_var"))
    tensors[name][0] = value
    save_file(tensors, weights)
    told = f"{weights.name}' hold NaN or infinity in 1 tensors, such as {name}; get or save"
    with pytest.raises(ConfigError, match=re.escape(told)):
        build_backbone(recipe("test_resnet", weights=str(weights), pretraining="mine"), 3, 32)


def holds(model, file):
    """Whether a backbone has the weights of a file, its classifier aside."""
    known = {k: v for k, v in load_file(file).items() if not k.startswith("fc")}
    return all(torch.equal(v, model.backbone.state_dict()[k]) for k, v in known.items())


@pytest.mark.parametrize(
    "name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet", "test_vit2"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_those_of_timm(name, channels):
    torch.manual_seed(0)
    mine = Embedder(recipe(name), channels, 64).eval()
    torch.manual_seed(0)
    known = timm.get_pretrained_cfg(name)
    size = {"img_size": 64} if known.fixed_input_size else {}
    theirs = timm.create_model(name, num_classes=0, in_chans=channels, **size).eval()
    images = torch.rand(2, channels, 64, 64)
    assert torch.equal(mine.backbone(images), timms(theirs, images))
    assert mine.num_features == mine.head.in_features == theirs.head_hidden_size


def test_building_draws_the_numbers_of_its_weights_only():
    torch.manual_seed(0)
    model = Embedder(recipe("test_vit"), 3, 64)
    torch.manual_seed(0)
    timm.create_model("test_vit", num_classes=0, img_size=64)
    head = torch.nn.Linear(model.num_features, 8)
    assert torch.equal(model.head.weight, head.weight)
    assert model.training


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_the_backbones_of_the_field_build_and_train_a_step(name):
    sizes = (224, 98 if "patch14" in name else 96)
    if "patch14" in name:
        with pytest.raises(ConfigError, match=PATCH_14):
            Embedder(recipe(name), 3, 96)
    for size in sizes:
        model = Embedder(recipe(name), 3, size)
        assert model.num_features == BACKBONES[name]
    model.train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    first, second = model(torch.rand(4, 3, size, size)).chunk(2)
    loss = (first * second).sum()
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    for part in ("backbone", "head"):
        names = [name for name in before if name.startswith(part)]
        assert any(not torch.equal(before[k], model.state_dict()[k]) for k in names)


def test_position_embeddings_are_resized_as_timm_does(tmp_path):
    torch.manual_seed(1)
    model = timm.create_model("test_vit", num_classes=10)  # for 160 pixels
    file = tmp_path / "mine.safetensors"
    save_file(model.state_dict(), file)
    mine = Embedder(recipe("test_vit", weights=str(file)), 3, 96).backbone
    prefix = model.num_prefix_tokens
    wanted = resample_abs_pos_embed(model.pos_embed, (6, 6), num_prefix_tokens=prefix)
    assert mine.pos_embed.shape[1] == 36 + prefix != model.pos_embed.shape[1]
    torch.testing.assert_close(mine.pos_embed, wanted)


def test_weights_come_from_a_file_or_a_folder_of_files_named_like_timms(weights):
    for place in (weights, weights.parent):
        assert holds(Embedder(recipe("test_resnet", weights=f"{place}"), 3, 64), weights)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_a_file_must_have_the_tensors_of_its_network_and_no_others(name, tmp_path):
    torch.manual_seed(1)
    whole = timm.create_model(name, num_classes=10).state_dict()
    file = tmp_path / "mine.safetensors"

    def loaded(tensors):
        save_file(tensors, file)
        return build_backbone(recipe(name, weights=str(file)), 3, 160)

    made = loaded(whole)
    assert all(torch.equal(tensor, whole[key]) for key, tensor in made.state_dict().items())
    assert "state_dict" not in made.pretrained_cfg
    buffers = [key for key, _ in made.named_buffers() if key.endswith("running_var")]
    biases = [key for key, _ in made.named_parameters() if key.endswith("bias")]
    for key in [*buffers[:1], biases[-1]]:
        with pytest.raises(
            ConfigError, match=rf"\(1 missing, such as {key}\); are they of another"
        ):
            loaded({k: v for k, v in whole.items() if k != key})
    with pytest.raises(ConfigError, match=r"\(1 unknown, such as layer9.weight\)"):
        loaded(whole | {"layer9.weight": torch.zeros(2)})
    with pytest.raises(ConfigError, match=rf"1 of another shape, such as {biases[0]}") as caught:
        loaded(whole | {biases[0]: torch.zeros(1), "layer9.weight": torch.zeros(2)})
    assert "1 unknown" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_a_deeper_network_is_refused_whatever_its_name(tmp_path):
    file = tmp_path / "resnet18.tv_in1k.safetensors"
    save_file(timm.create_model("resnet34", num_classes=0).state_dict(), file)
    with pytest.raises(ConfigError, match=r"of resnet18 \(\d+ unknown, such as layer"):
        build_backbone(recipe("resnet18", weights=str(file)), 3, 64)


@pytest.mark.parametrize(("tag", "lenient"), [("fcmae", True), ("fcmae_ft_in1k", False)])
def test_a_file_may_lack_what_timms_own_of_this_tag_lacks(tag, lenient, tmp_path):
    whole = timm.create_model("convnextv2_atto", num_classes=0).state_dict()
    file = tmp_path / f"convnextv2_atto.{tag}.safetensors"
    save_file({k: v for k, v in whole.items() if not k.startswith("head.norm")}, file)
    given = recipe("convnextv2_atto", weights=str(file))
    if lenient:
        made = build_backbone(given, 3, 32).state_dict()
        assert torch.equal(made["stem.0.weight"], whole["stem.0.weight"])
        return
    with pytest.raises(ConfigError, match=r"2 missing, such as head\.norm\.weight"):
        build_backbone(given, 3, 32)


def test_wrapped_tensors_and_a_gray_first_layer_are_timms_way(weights, tmp_path):
    known = load_file(weights)
    file = tmp_path / "mine.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in known.items()}}, file)
    made = build_backbone(recipe("test_resnet", weights=str(file)), 1, 64).state_dict()
    first = timm.get_pretrained_cfg("test_resnet").first_conv + ".weight"
    torch.testing.assert_close(made[first], known[first].sum(dim=1, keepdim=True))
    assert all(torch.equal(v, known[k]) for k, v in made.items() if k != first)


@pytest.mark.parametrize("content", [None, b"", {}, {"epoch": 3}, [1], Path("x")])
def test_a_file_that_holds_no_weights_is_one_line(content, weights, tmp_path):
    file = tmp_path / ("cut.safetensors" if content is None else "mine.pth")
    if content is None or isinstance(content, bytes):
        file.write_bytes(weights.read_bytes()[:1000] if content is None else content)
    else:
        torch.save(content, file)
    with pytest.raises(ConfigError, match=rf"weights '{file}' .* test_resnet .*\?$") as caught:
        build_backbone(recipe("test_resnet", weights=str(file)), 3, 64)
    assert "hub" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_weights_come_from_the_hubs_cache_without_network(weights, tmp_path):
    cache = tmp_path / "home/hub/models--timm--test_resnet.r160_in1k"
    commit = "0" * 40
    (cache / "refs").mkdir(parents=True)
    (cache / "refs/main").write_text(commit)
    (cache / "blobs").mkdir()
    (cache / "blobs/abc").write_bytes(weights.read_bytes())
    (cache / "snapshots" / commit).mkdir(parents=True)
    (cache / "snapshots" / commit / "model.safetensors").symlink_to("../../blobs/abc")
    code = (
        "import sys; from test_backbones import Embedder, holds, recipe;"
        "assert holds(Embedder(recipe('test_resnet', weights='r160_in1k'), 3, 64), sys.argv[1])"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", code, str(weights)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_a_tag_without_its_weights_at_hand_is_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"cannot be had .* or train from scratch") as caught:
        Embedder(recipe("test_resnet", weights="r160_in1k"), 3, 64)
    assert len(str(caught.value).splitlines()) == 1


def test_lite0_is_timms_and_wants_pixels_around_one_half(shared_data):
    file = shared_data / "weights/tf_efficientnet_lite0.safetensors"
    if not file.is_file():
        pytest.skip(f"no weights: {file} is absent")
    given = recipe(
        "tf_efficientnet_lite0",
        weights=str(file),
        pretraining="imagenet1k",
        mean_std="weights",
        crop="random_resized",
    )
    model = Embedder(given, 3, 80).eval()
    name, overlay = "tf_efficientnet_lite0", {"file": str(file)}
    theirs = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay).eval()
    images = torch.rand(2, 3, 80, 80) * 2 - 1
    assert torch.equal(model.backbone(images), timms(theirs, images))
    found = input_format(given)
    assert found.mean == found.std == (0.5, 0.5, 0.5)
    assert found.evaluation[0]["Resize"]["size"] == 256


def test_a_network_says_what_it_cannot_take():
    with pytest.raises(ConfigError, match="patches of 16 pixels, which do not divide 40; take 32"):
        Embedder(recipe("test_vit"), 3, 40)
    with pytest.raises(ConfigError, match=r"patches of 16 pixels, .* divide 8; take 16$"):
        Embedder(recipe("test_vit"), 3, 8)
