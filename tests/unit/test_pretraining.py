"""What timm says of weights: their data, told when the config is read and marked in tables."""

import subprocess
import sys

import pandas as pd
import pytest
import timm
from conftest import ROOT
from made_results import gather, make_results
from test_backbones import made_weights, recipe

from dmlbench import paths
from dmlbench.config import load_config, resolve_config
from dmlbench.data.reader import input_format
from dmlbench.errors import ConfigError
from dmlbench.plugins.timm_names import check_pretraining, pretraining_of
from dmlbench.reporting.tables import write_overview, write_tables


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("tv_in1k", "imagenet1k"),
        ("a1_in1k", "imagenet1k"),
        ("fb_dist_in1k", "imagenet1k"),
        ("dino", "imagenet1k"),
        ("mae", "imagenet1k"),
        ("in1k_ijepa", "imagenet1k"),
        ("augreg_in21k", "imagenet21k"),
        ("augreg_in21k_ft_in1k", "imagenet21k_imagenet1k"),
        ("fb_in22k_ft_in1k_384", "imagenet21k_imagenet1k"),
        ("in22k_ft_in22k_in1k", "imagenet21k_imagenet1k"),
        ("lvd142m", "lvd142m"),
        ("dinov3_lvd1689m", "lvd1689m"),
        ("openai", "wit"),
        ("openai_ft_in12k_in1k", "wit_imagenet12k_imagenet1k"),
        ("laion2b", "laion2b"),
        ("clip_laion2b_augreg_ft_in12k_in1k", "laion2b_imagenet12k_imagenet1k"),
        ("fb_swsl_ig1b_ft_in1k", "ig1b_imagenet1k"),
        ("ns_jft_in1k", "jft300m_imagenet1k"),
        ("v2_webli", "webli"),
        ("mim_m38m_ft_in22k_in1k", "merged38m_imagenet21k_imagenet1k"),
        # These say less than they were trained on, or nothing.
        ("clip_ft_in1k", None),
        ("swag_ft_in1k", None),
        ("seer_ft_in1k", None),
        ("ssld_stage1_in22k_in1k", None),
        ("bamboo", None),
        ("", None),
    ],
)
def test_a_tag_says_what_its_weights_were_trained_on(tag, data):
    assert pretraining_of(tag) == data


def test_no_weights_that_saw_more_count_as_imagenets():
    names = timm.list_models(pretrained=True)
    tags = {name.partition(".")[2] for name in names}
    # Words of tags that are data or methods beyond ImageNet-1k, whatever our table has.
    beyond = ("12k", "21k", "22k", "laion", "webli", "lvd", "ig1b", "jft", "yfcc", "datacomp")
    beyond += ("dfn", "clip", "openai", "swag", "seer", "ssld", "m38m", "m30m", "merged", "sa1b")
    for tag in tags:
        if pretraining_of(tag) == "imagenet1k":
            assert not any(word in tag for word in beyond), tag
    told = sum(pretraining_of(name.partition(".")[2]) is not None for name in names)
    assert told / len(names) > 0.85


def plan_of(config, **changes):
    """The plan of the smoke config with another backbone."""
    config["recipes"]["digits_8d"] = {
        **{"backbone": "test_resnet", "image_size": 64, "embedding_dim": 8, "normalize": True},
        **{"batch_size": 32, "epochs": 3},
        **changes,
    }
    return resolve_config(config, "test")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backbone": "resnet51"}, "backbone: neither small_cnn nor .*'resnet51'.*; near it: .*50"),
        ({"backbone": "resnet50.tv_in1k"}, "write backbone: resnet50 and weights: tv_in1k"),
        ({"backbone": "tf_efficientnet_b0_ns"}, "old name .*tf_efficientnet_b0.ns_jft_in1k"),
        ({"weights": "tv_in1k"}, "weights: timm has no weights 'tv_in1k' .*; its tags: r160_in1k"),
        ({"weights": "/none/w.pth", "pretraining": "imagenet1k"}, "weights: no file /none/w.pth"),
        ({"weights": "/none/w"}, "weights: no folder /none/w"),
        (
            {"backbone": "vit_small_patch14_dinov2", "image_size": 96},
            "image_size: vit_small_patch14_dinov2 cuts images into patches of 14 pixels, which do "
            "not divide 96; take 84 or 98",
        ),
        ({"pooling": "cls"}, "pooling: test_resnet has no class token .*'cls'.*avg, max, avg_max"),
        ({"backbone": "volo_d1_224", "image_size": None, "pooling": "avg"}, "way of its own"),
        ({"head": {"type": "none"}}, r"embedding_dim: without a head .* 96 .*\(got 8\)"),
        ({"pretraining": "mine"}, "pretraining: there is none with weights: none"),
        ({"weights": "r160_in1k", "pretraining": "mine"}, "timm says imagenet1k .*'mine'"),
        ({"backbone": "resnet50", "weights": "bamboo"}, "pretraining: timm does not say .*bamboo"),
        ({"backbone": "small_cnn", "pooling": "gem"}, "pooling: small_cnn has no pooling"),
        ({"hidden": 3}, "hidden: only small_cnn has it"),
        ({"chunk": 8}, r"chunk: batch norm backbone\S+ would see one chunk at a time; take freeze"),
        ({"freeze": "backbone.layr1.*"}, "freeze: no parameter .* mean 'backbone.layer1.*'"),
        ({"freeze": "*"}, r"freeze: \* leaves nothing of the network that learns"),
        ({"backbone": "test_vit", "freeze": "batch_norm"}, "freeze: the network has no batch norm"),
        (
            {"freeze": "head.*", "head": {"type": "none"}, "embedding_dim": 96},
            r"freeze: no parameter is called 'head.\*'; valid here: backbone",
        ),
        (
            {"freeze": "head.*", "warmup_head_epochs": 1},
            "warmup_head_epochs: freeze: .* leaves no head",
        ),
    ],
)
def test_what_timm_cannot_do_is_told_when_the_config_is_read(smoke_config, changes, told):
    with pytest.raises(ConfigError, match=told) as caught:
        plan_of(smoke_config, **changes)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert "recipes.digits_8d." in lines[0]


@pytest.mark.parametrize("freeze", ["batch_norm", "backbone", "backbone.*"])
def test_chunks_of_a_network_with_frozen_batch_norm_are_planned(smoke_config, freeze):
    assert plan_of(smoke_config, chunk=8, freeze=freeze).runs


@pytest.mark.parametrize("said", ["ImageNet-1k", "imagenet_1k", "in1k", "imagenet", "IN-1K"])
def test_data_have_one_name_by_which_tables_know_them(said):
    check_pretraining("imagenet1k")
    check_pretraining("my_birds2")
    with pytest.raises(ConfigError, match="are called imagenet1k here"):
        check_pretraining(said)
    with pytest.raises(ConfigError, match=r"of small letters, digits and _ \(got 'My birds'\)"):
        check_pretraining("My birds")


def test_a_folder_is_told_from_a_tag_and_from_a_file(smoke_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("mine", "mine.safetensors"):
        (tmp_path / folder).mkdir()
    with pytest.raises(ConfigError, match=r"for the folder of this name write \./mine$"):
        plan_of(smoke_config, weights="mine")
    with pytest.raises(ConfigError, match=r"mine.safetensors is a folder; name a file in it$"):
        plan_of(smoke_config, weights="mine.safetensors")


def test_a_file_needs_words_for_its_data_and_a_folder_gives_them(smoke_config, tmp_path):
    weights = made_weights(tmp_path)
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(weights.read_bytes())
    with pytest.raises(ConfigError, match=r"pretraining: timm does not say .*mine\.safetensors"):
        plan_of(smoke_config, weights=str(mine))
    given = plan_of(smoke_config, weights=str(mine), pretraining="birds").recipes["digits_8d"]
    assert (given["weights"], given["pretraining"]) == (str(mine), "birds")
    plan = plan_of(smoke_config, weights=str(weights.parent), mean_std="weights")
    found = plan.recipes["digits_8d"]
    assert (found["weights"], found["pretraining"]) == (str(weights), "imagenet1k")
    spec = plan.spec(next(iter(plan.runs.values())))
    assert spec["recipe"]["pretraining"] == "imagenet1k"
    assert spec["weights"]  # their hash
    second = weights.with_name("test_resnet.r160_in1k.pth")
    second.touch()
    with pytest.raises(ConfigError, match="holds several of test_resnet; name one: "):
        plan_of(smoke_config, weights=str(weights.parent))
    for file in (weights, second):
        file.unlink()
    with pytest.raises(ConfigError, match=r"holds no test_resnet\.TAG\.safetensors .*r160_in1k"):
        plan_of(smoke_config, weights=str(weights.parent))


def test_the_benchmark_says_imagenet():
    plan = load_config(ROOT / "config.yaml")
    found = {name: recipe["pretraining"] for name, recipe in plan.recipes.items()}
    assert found["eps_r50_128"] == "imagenet1k"
    assert found["mnist_2d"] is None


def test_a_size_may_be_that_of_the_weights(smoke_config):
    given = {"image_size": None, "mean_std": "weights", "weights": "lvd142m"}
    given["backbone"] = "vit_small_patch14_dinov2"
    plan = plan_of(smoke_config, **given)
    assert plan.recipes["digits_8d"]["pretraining"] == "lvd142m"
    with pytest.raises(ConfigError, match="do not divide 225; take 224 or 238"):
        plan_of(smoke_config, **given | {"image_size": 225})


@pytest.mark.parametrize(
    ("backbone", "tag", "size", "before"),
    [
        ("vit_small_patch14_dinov2", "lvd142m", 518, 518),
        ("vit_base_patch16_clip_224", "openai", 224, 248),
        ("resnet50", "tv_in1k", 224, 256),
        ("convnext_tiny", "in12k_ft_in1k_384", 384, [384, 384]),
    ],
)
def test_crops_are_those_of_the_weights(backbone, tag, size, before):
    given = recipe(backbone, weights=tag, mean_std="weights", crop="random_resized")
    found = input_format(given).evaluation
    assert (found[0]["Resize"]["size"], found[1]["CenterCrop"]["size"]) == (before, size)
    theirs = timm.data.create_transform(
        **timm.data.resolve_data_config(
            pretrained_cfg=timm.get_pretrained_cfg(f"{backbone}.{tag}").to_dict()
        )
    ).transforms
    resize = theirs[0].size
    assert before == (resize if isinstance(resize, int) else [*resize])


def test_a_small_network_is_planned_without_timm():
    code = (
        "import sys; from dmlbench.config import load_config;"
        "load_config('configs/smoke.yaml'); assert 'timm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(("data", "marked"), [("lvd142m", True), ("imagenet1k", False)])
def test_tables_mark_rows_that_saw_more_than_imagenet(
    smoke_config, tmp_path, monkeypatch, data, marked
):
    monkeypatch.chdir(tmp_path)
    smoke_config["seeds"] = [0, 1]
    plan = resolve_config(smoke_config, "test")
    for each in plan.recipes.values():
        each["pretraining"] = data
    make_results(plan, tmp_path / paths.results("smoke"))
    gather(plan)
    runs = pd.read_parquet(paths.summary("smoke", "runs"))
    assert (runs["pretraining"] == data).all()
    write_tables(plan, "even_odd")
    write_overview(plan, "leaderboard")
    write_overview(plan, "cost")
    sentence = f"†: pre-trained on more than ImageNet-1k ({data})."
    for table in ("even_odd", "leaderboard", "cost"):
        text = paths.local(paths.table("smoke", table, "md")).read_text()
        assert (sentence in text) == marked
        assert ("| Triplet + EPS †" in text) == marked
        assert "| Random embedding †" not in text
    long = pd.read_csv(paths.table("smoke", "even_odd", "csv"))
    assert (long.loc[long["control"] != "random", "pretraining"] == data).all()
    assert r"\textdagger" in paths.local(paths.table("smoke", "even_odd", "tex")).read_text() or (
        not marked
    )
