"""The frozen tier: features that are computed once, and heads trained on them."""

import copy

import numpy as np
import pytest
import torch
from conftest import config_with
from safetensors.torch import save_file

from dmlbench.config import resolve_config
from dmlbench.config.frozen import network_name, uses_features
from dmlbench.data.dataset import get_dataset
from dmlbench.data.features import FeatureReader, save_features
from dmlbench.data.prepare import prepare
from dmlbench.data.reader import ImageReader
from dmlbench.data.splits import index_of
from dmlbench.data.store import ImageStore
from dmlbench.errors import ConfigError, DataError
from dmlbench.models.embedder import Embedder, embed
from dmlbench.training.controls import control_embedder
from dmlbench.training.loop import Trainer

DATASET = get_dataset("digits_even_odd")
CPU = torch.device("cpu")
RUN = "digits_even_odd/digits_8d/triplet/eps/seed0"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    import timm

    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=10).state_dict(), file)
    return str(file)


@pytest.fixture
def plan(smoke_config, weights):
    smoke_config["recipes"]["digits_8d"] |= {
        "backbone": "test_resnet",
        "weights": weights,
        "pretraining": "imagenet1k",
        "freeze": "backbone",
        "image_size": 32,
        "epochs": 2,
    }
    smoke_config["recipes"]["digits_8d"].pop("widths", None)
    smoke_config["recipes"]["digits_8d"].pop("hidden", None)
    return resolve_config(smoke_config, "test")


@pytest.fixture
def spec(plan):
    return copy.deepcopy(plan.spec(plan.run_by_id(RUN)))


@pytest.fixture
def file(spec, store, tmp_path):
    """The features of the digits by the backbone that the trainer of images has."""
    trainer = Trainer(spec, DATASET, store)
    rows = np.arange(len(store.index))
    features = embed(trainer.model.backbone, trainer.reader, rows)
    save_features(tmp_path / "f.safetensors", features, store.index)
    return tmp_path / "f.safetensors"


def test_a_head_on_features_trains_as_on_the_images(spec, store, file):
    on_images, on_features = Trainer(spec, DATASET, store), Trainer(spec, DATASET, store, file)
    on_features.model.head.load_state_dict(on_images.model.head.state_dict())
    histories = []
    for trainer in (on_images, on_features):
        histories.append([row["loss"] for row in trainer.train().history])
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)
    for mine, theirs in zip(
        on_features.model.head.parameters(), on_images.model.head.parameters(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    assert [name for name, _ in on_features.model.named_parameters()] == [
        "head.weight",
        "head.bias",
    ]


def test_a_run_on_features_repeats_to_the_bit(spec, store, file):
    first, second = (Trainer(spec, DATASET, store, file).train() for _ in range(2))
    for name, weights in first.selections.weights.items():
        assert all(torch.equal(w, second.selections.weights[name][k]) for k, w in weights.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_features_are_read_as_they_were_stored(store, tmp_path, dtype):
    features = torch.randn(len(store.index), 5).to(dtype)
    save_features(tmp_path / "f.safetensors", features, store.index)
    reader = FeatureReader(tmp_path / "f.safetensors", store.index, CPU)
    (batch,) = reader.batches([np.array([3, 0, 3])])
    assert batch.dtype == torch.float32
    assert torch.equal(batch, features[[3, 0, 3]].float())
    model = Embedder(
        {"normalize": False, "embedding_dim": 5, "head": {"type": "none", "layer_norm": False}},
        **reader.input,
    )
    assert torch.equal(embed(model, reader, np.arange(4)), features[:4].float())


def test_features_of_other_images_are_refused(store, tmp_path):
    file = tmp_path / "f.safetensors"
    with pytest.raises(DataError, match=r"no features .* compute them again"):
        FeatureReader(file, store.index, CPU)
    save_features(file, torch.zeros(len(store.index), 2), store.index)
    other = store.index.copy()
    other.attrs = {"sha256": "another"}
    with pytest.raises(DataError, match="features of other images"):
        FeatureReader(file, other, CPU)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="no features"):
        FeatureReader(file, store.index, CPU)


def test_features_that_were_not_stored_so_are_refused(store, tmp_path):
    file = tmp_path / "f.safetensors"
    save_features(file, torch.rand(len(store.index), 2), store.index)
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    told = r"not the features that were stored; delete it, and run again$"
    with pytest.raises(DataError, match=told):
        FeatureReader(file, store.index, CPU)
    for about in (None, {"data": "x"}):
        save_file({"features": torch.zeros(len(store.index), 2)}, file, metadata=about)
        with pytest.raises(DataError, match=told):
            FeatureReader(file, store.index, CPU)


def test_what_networks_are_tried_on_differs_and_draws_nothing(spec, store, tmp_path):
    save_features(tmp_path / "f.safetensors", torch.rand(len(store.index), 7), store.index)
    features = FeatureReader(tmp_path / "f.safetensors", store.index, CPU)
    readers = features, ImageReader(store, spec["recipe"], 0)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    for reader, shape in zip(readers, [(4, 7), (4, 1, 32, 32)], strict=True):
        made = reader.noise(4)
        assert made.shape == shape
        assert len(made.unique(dim=0)) == 4
        assert torch.equal(made, reader.noise(4))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"freeze": "none"},
        {"freeze": "backbone.*"},
        {"weights": "none"},
        {"crop": "random_resized"},
        {"train_transforms": ["RandomHorizontalFlip"]},
    ],
)
def test_what_moves_or_varies_sees_images(spec, changes):
    assert uses_features(spec["recipe"])
    assert not uses_features(spec["recipe"] | changes)


def test_recipes_share_features_that_are_the_same(spec, plan):
    recipe = spec["recipe"]
    name = network_name(recipe)
    assert name.startswith("test_resnet_")
    same = {"embedding_dim": 4, "epochs": 9, "batch_size": 8, "optimizer": {}}
    assert network_name(recipe | same) == name
    for key, value in (("pooling", "max"), ("image_size", 64), ("features", "float16")):
        assert network_name(recipe | {key: value}) != name
    run = plan.run_by_id(RUN)
    assert plan.features_file(run).name == f"{name}.safetensors"
    assert plan.recipe_of_network(name)["backbone"] == "test_resnet"
    with pytest.raises(ConfigError, match="no frozen backbone 'test_resnet_1'; did you mean"):
        plan.recipe_of_network("test_resnet_1")


def test_a_file_named_by_a_tag_has_features_of_its_own_where_the_tag_says_the_mean(spec, tmp_path):
    files = [tmp_path / f"{name}.safetensors" for name in ("mine", "test_resnet.r160_in1k")]
    for file in files:
        file.write_bytes(b"the same")
    for mean_std, count in (("weights", 2), ("imagenet", 1)):
        recipes = [spec["recipe"] | {"weights": str(f), "mean_std": mean_std} for f in files]
        assert len(set(map(network_name, recipes))) == count


def test_the_pca_control_is_the_projection_on_the_training_images_components(tmp_path, monkeypatch):
    config = config_with() | {"controls": ["untrained", "pca"]}
    plan = resolve_config(config, "test")
    monkeypatch.chdir(tmp_path)
    folder = plan.data_folder(plan.controls["even_odd"]["pca"])
    prepare(DATASET, {}, folder)
    store = ImageStore(folder)
    runs = {kind: plan.controls["even_odd"][kind] for kind in config["controls"]}
    whole, few = (control_embedder(plan, run, store)[0] for run in runs.values())
    index = index_of(plan, runs["pca"])
    rows = np.arange(len(index))
    features = whole(rows).double()
    seen = features[np.flatnonzero(index["split"] == "train")]
    _, _, axes = torch.linalg.svd(seen - seen.mean(dim=0), full_matrices=False)
    expected = torch.nn.functional.normalize((features - seen.mean(dim=0)) @ axes[:8].T, dim=1)
    torch.testing.assert_close(
        few(rows).double() @ few(rows).double().T, expected @ expected.T, atol=1e-4, rtol=0
    )


def test_a_reduction_to_more_than_there_is_is_refused(weights):
    config = config_with() | {"controls": ["pca"]}
    config["recipes"]["digits_8d"] |= {
        "backbone": "test_resnet", "weights": weights, "pretraining": "noise", "image_size": 32,
        "embedding_dim": 300,
    }  # fmt: skip
    config["recipes"]["digits_8d"].pop("widths", None)
    with pytest.raises(ConfigError, match=r"controls: pca: recipe 'digits_8d' has \d+ features"):
        resolve_config(config, "test")
