"""Training repeats to the bit, keeps the right weights and leaves nothing half-done."""

import copy
import json
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from safetensors.torch import save_file

from dmlbench.config import load_config, resolve_config
from dmlbench.data.dataset import get_dataset
from dmlbench.errors import ConfigError, DataError, OutOfMemoryError, TrainingError
from dmlbench.losses.base import LossResult
from dmlbench.models.embedder import Embedder, load_model
from dmlbench.neighbours.knn import recall_at
from dmlbench.samplers.batch import Batch
from dmlbench.training.device import embed_all
from dmlbench.training.loop import Trainer
from dmlbench.training.session import save_run
from dmlbench.training.snapshot import Selections
from dmlbench.training.step import EpochRecord
from dmlbench.training.training_images import TrainingImages
from dmlbench.workflow.job_records import read_record, vouches

DATASET = get_dataset("digits_even_odd")
CPU = torch.device("cpu")
RUN = "digits_even_odd/digits_8d/triplet/eps/seed0"


@pytest.fixture
def spec(smoke_config):
    plan = resolve_config(smoke_config, "test")
    return copy.deepcopy(plan.spec(plan.run_by_id(RUN)))


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(spec, store):
    first, second = (Trainer(spec, DATASET, store).train() for _ in range(2))
    for name in spec["selections"]:
        assert same(first.selections.weights[name], second.selections.weights[name])
    times = ["seconds", "images_per_second"]
    histories = [pd.DataFrame(each.history).drop(columns=times) for each in (first, second)]
    pd.testing.assert_frame_equal(*histories)
    other = Trainer(spec | {"seed": 1}, DATASET, store).train()
    assert not same(first.selections.weights["last"], other.selections.weights["last"])


def test_training_learns_parity_and_records_it(spec, store):
    spec["recipe"]["epochs"] = 8
    history = pd.DataFrame(Trainer(spec, DATASET, store).train().history)
    assert history["epoch"].tolist() == list(range(1, 9))
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] / 3
    assert history["recall_at_1_val"].iloc[-1] > 0.9
    assert history["positives_per_anchor"].between(14.5, 15).all()  # 16 per class, few copies


def test_methods_see_the_same_batches(spec, store):
    seen = []
    for positive, loss in (("easy", "triplet"), ("random", "contrastive")):
        spec["sampler"]["positive"] = {"type": positive}
        spec["loss"] = {"name": loss, "type": loss}
        trainer = Trainer(spec, DATASET, store)
        trainer.train()
        seen.append(np.stack(trainer.images.batches(2)))
    assert (seen[0] == seen[1]).all()


def test_validation_images_are_never_trained_on(spec, store):
    trainer = Trainer(spec, DATASET, store)
    splits = store.index["split"].to_numpy()
    held_out = trainer.images.monitors["val"].rows(trainer.images.index)
    assert (splits[trainer.images.rows] == "train").all()
    assert (splits[held_out] == "train").all()
    assert not set(trainer.images.rows) & set(held_out)
    tested = trainer.images.monitors["test_max"].rows(trainer.images.index)
    assert (splits[tested] == "test").all()


def test_shuffled_labels_are_the_same_labels_on_other_images(spec, store):
    own = TrainingImages(spec, DATASET, store, CPU)
    spec["recipe"]["labels"] = "shuffled"
    shuffled = TrainingImages(spec, DATASET, store, CPU)
    assert (np.bincount(own.labels) == np.bincount(shuffled.labels)).all()
    assert 0.4 < (own.labels == shuffled.labels).mean() < 0.6  # two classes
    assert (TrainingImages(spec, DATASET, store, CPU).labels == shuffled.labels).all()
    assert (TrainingImages(spec | {"seed": 1}, DATASET, store, CPU).labels != shuffled.labels).any()
    assert list(own.monitors) == ["val", "test_max"]
    assert own.monitors == shuffled.monitors
    pd.testing.assert_frame_equal(own.index, shuffled.index)


@pytest.mark.parametrize("loss", [None, "pytorch_metric_learning.losses.CircleLoss"])
def test_a_diverged_loss_ends_the_run_with_its_name_step_and_last_values(spec, store, loss):
    if loss:
        spec["loss"] = {"name": "triplet", "type": loss}
    spec["recipe"]["optimizer"] |= {"name": "sgd", "lr": 1e30}
    spec["recipe"]["normalize"] = False
    told = r"loss 'triplet' is (nan|inf) in epoch 1, step 2; the last finite values were \d+\.\d+;"
    with pytest.raises(TrainingError, match=told):
        Trainer(spec, DATASET, store).train()


def batch_of(points, labels, content):
    points, labels, content = (torch.tensor(values) for values in (points, labels, content))
    return Batch.of(points, labels, content, torch.Generator())


def test_the_last_finite_values_reach_back_into_the_epoch_before():
    batch = batch_of([[1.0, 0.0]] * 2, [0, 1], [0, 1])
    record = EpochRecord("mine", 7, [3.0, 2.0, 1.0])
    record.add(batch, LossResult(torch.tensor(0.5)))
    with pytest.raises(TrainingError, match=r"'mine' is nan in epoch 7, step 2.*2, 1, 0\.5;"):
        record.add(batch, LossResult(torch.tensor(torch.nan)))


def test_diagnostics_are_those_of_the_pairs():
    batches = [
        batch_of([[1.0, 0], [0, 1.0], [1.0, 1.0], [-1.0, 0]], [0, 0, 0, 1], [0, 1, 2, 3]),
        batch_of([[1.0, 0], [0, 2.0], [1.0, 0.0], [0, -1.0]], [0, 0, 1, 1], [5, 6, 7, 8]),
    ]
    record = EpochRecord("mine", 1, [])
    for active, batch in zip((4, 2), batches, strict=True):
        counts = {"clamped_steps": torch.tensor(1.0)}
        record.add(batch, LossResult(torch.tensor(float(active)), torch.tensor(active), counts))
    row = record.row()
    assert row["loss"] == 3
    assert row["active_tuples"] == 3
    assert row["clamped_steps"] == 2
    assert row["positives_per_anchor"] == (2 + 2 + 2 + 0 + 1 + 1 + 1 + 1) / 8
    # Of the 7 anchors with positives, 3 have two to draw from and 4 have one.
    assert row["easy_equals_random"] == pytest.approx((3 * 0.5 + 4 * 1) / 7)
    genuine = [0, 0.5**0.5, 0.5**0.5, 0, 0]
    impostor = [-1, 0, -(0.5**0.5), 1, 0, 0, -1]
    assert row["genuine_similarity"] == pytest.approx(np.mean(genuine))
    assert row["impostor_similarity"] == pytest.approx(np.mean(impostor))
    spread = ((np.var(genuine) + np.var(impostor)) / 2) ** 0.5
    assert row["decidability"] == pytest.approx((np.mean(genuine) - np.mean(impostor)) / spread)


def test_proxies_train_on_shuffled_images(spec, store):
    spec["loss"] = {"name": "pd", "type": "pd_loss", "proxies": "class_means"}
    spec["sampler"] = {"per_class": None, "positive": None, "negative": None, "miner": None}
    trainer = Trainer(spec, DATASET, store)
    trainer.begin()
    before = trainer.loss.proxies.detach().clone()
    torch.testing.assert_close(before.norm(dim=1), torch.ones(2))
    history = pd.DataFrame(trainer.train().history)
    assert (trainer.loss.proxies != before).all()
    assert history["clamped_steps"].iloc[-1] == 0
    assert history["decidability"].iloc[-1] > history["decidability"].iloc[0]
    assert history["active_tuples"].isna().all()


def test_a_history_says_how_many_proxies_of_several_are_used(spec, store):
    spec["loss"] = {"name": "nca", "type": "proxy_nca", "proxies_per_class": 3}
    spec["sampler"] = {"per_class": None, "positive": None, "negative": None, "miner": None}
    history = pd.DataFrame(Trainer(spec, DATASET, store).train().history)
    assert history["proxies_used"].between(1 / 3, 1).all()


@pytest.mark.parametrize("loss", ["triplet", "multi_similarity", "margin"])
def test_half_precision_trains_the_network_only(spec, store, loss):
    spec["recipe"]["precision"] = "bfloat16"
    spec["loss"] = {"name": loss, "type": loss}
    trainer = Trainer(spec, DATASET, store)
    seen = []
    trainer.model.head.register_forward_hook(lambda *a: seen.append(a[2].dtype))
    trainer.loss.register_forward_hook(lambda *a: seen.append(a[2].value.dtype))
    positions = trainer.images.batches(1)[0]
    images = next(trainer.reader.batches([trainer.images.rows[positions]], trainer.device))
    labels = torch.from_numpy(trainer.images.labels[positions])
    record = EpochRecord(loss, 1, [])
    trainer.step.take(images, labels, torch.arange(len(labels)), torch.Generator(), record)
    assert seen == [torch.bfloat16, torch.float32]
    assert pd.DataFrame(trainer.train().history)["loss"].notna().all()


def test_selections_keep_the_first_best_and_the_last():
    model = torch.nn.Linear(1, 1)
    kept = Selections(["last", "val", "test_max"])
    for epoch, (val, test) in enumerate([(0.5, 0.9), (0.7, 0.8), (0.7, 0.9)], start=1):
        model.weight.data.fill_(epoch)
        kept.update(epoch, model, {"val": val, "test_max": test})
    assert kept.epochs == {"last": 3, "val": 2, "test_max": 1}
    assert {k: int(w["weight"]) for k, w in kept.weights.items()} == kept.epochs


def test_images_that_cannot_be_embedded_for_want_of_memory_are_one_line(spec, store):
    """PyTorch's own error, of numbers that no machine has room for."""
    images = TrainingImages(spec, DATASET, store, CPU)

    class Large(torch.nn.Module):
        def forward(self, pixels):
            return torch.empty(2**50)

    told = r"embedding images of 8 x 8 pixels does not fit into the memory of this machine \("
    with pytest.raises(OutOfMemoryError, match=told):
        embed_all(Large(), images.reader, images.rows[:4])


def test_a_saved_model_gives_the_recall_that_was_measured(smoke_config, spec, store, tmp_path):
    trainer = Trainer(spec, DATASET, store)
    trained = trainer.train()
    plan = resolve_config(smoke_config, "test")
    run = plan.run_by_id(RUN)
    save_run(tmp_path, plan, run, trainer)
    record = read_record(tmp_path, plan.fingerprint(run))
    with pytest.raises(DataError, match="other settings"):
        read_record(tmp_path, "another")
    for name in ("val", "test_max"):
        model = load_model(tmp_path, record, name, torch.device("cpu"))
        measured = trainer.images.measure(model)[name]
        assert measured == trained.selections.best[name]
    assert json.loads((tmp_path / "run.json").read_text())["run"] == spec


def test_a_record_vouches_for_the_files_of_its_training(smoke_config, spec, store, tmp_path):
    plan = resolve_config(smoke_config, "test")
    run = plan.run_by_id(RUN)
    trainer = Trainer(spec, DATASET, store)
    trainer.train()
    save_run(tmp_path, plan, run, trainer)
    fingerprint, weights = plan.fingerprint(run), tmp_path / "model_last.safetensors"
    code = read_record(tmp_path, fingerprint)["code"]
    files = list(tmp_path.iterdir())
    assert len(files) == 5
    assert all(vouches(file, fingerprint, code) for file in files)
    assert not any(vouches(file, "another", code) for file in files)
    assert not any(vouches(file, fingerprint, "another") for file in files)
    weights.write_bytes(b"another training's")
    assert not vouches(weights, fingerprint, code)
    (tmp_path / "run.json").write_text("{")
    assert not vouches(files[0], fingerprint, code)


def test_an_interrupt_leaves_no_file_that_looks_finished(
    smoke_config, spec, store, tmp_path, monkeypatch
):
    trainer = Trainer(spec, DATASET, store)
    trainer.train()
    plan = resolve_config(smoke_config, "test")

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_run(tmp_path, plan, plan.run_by_id(RUN), trainer)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "model_last.safetensors",
        "model_test_max.safetensors",
        "model_val.safetensors",
    ]
    with pytest.raises(DataError, match="has not finished"):
        read_record(tmp_path, "print")


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "test_resnet", "freeze": "batch_norm"},
        {
            "backbone": "test_vit",
            "pooling": "gem",
            "head": {"type": "mlp", "hidden": 16, "layer_norm": True, "bias": True},
        },
    ],
)
def test_any_timm_backbone_trains_and_is_built_again(spec, store, changes):
    spec["recipe"] |= {"epochs": 1, "image_size": 32, **changes}
    trainer = Trainer(spec, DATASET, store)
    trained = trainer.train()
    assert pd.DataFrame(trained.history)["loss"].notna().all()
    again = Embedder(spec["recipe"], 1, 32).eval()
    again.load_state_dict(trained.selections.weights["last"])
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(again(images), trainer.model.eval()(images))


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_pretrained_weights_come_from_a_file(spec, tmp_path, ending):
    import timm

    source = timm.create_model("test_resnet", num_classes=10)
    file = tmp_path / f"weights.{ending}"
    save = save_file if ending == "safetensors" else torch.save
    save(source.state_dict(), file)
    recipe = spec["recipe"] | {"backbone": "test_resnet", "weights": str(file)}
    colour, gray = (Embedder(recipe, channels, 32).backbone for channels in (3, 1))
    expected = {k: v for k, v in source.state_dict().items() if not k.startswith("fc")}
    assert same(expected, colour.state_dict())
    first = "conv1.0.weight"
    torch.testing.assert_close(gray.state_dict()[first], expected[first].sum(1, keepdim=True))


def test_weights_that_cannot_be_had_are_one_line(spec, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "evil"), "w"))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    torch.save({"other": torch.ones(1)}, tmp_path / "other.pth")
    for ending in ("pth", "safetensors"):
        (tmp_path / f"empty.{ending}").touch()
    for weights, told in (
        (tmp_path / "no.safetensors", "weights: no file"),
        (tmp_path / "evil.pth", "cannot be loaded into test_resnet .* nothing but tensors"),
        (
            tmp_path / "other.pth",
            "other.pth' do not have the tensors of test_resnet .* such as conv1",
        ),
        (
            "no_such_tag",
            "weights: timm has no weights 'no_such_tag' of test_resnet; its tags: r160",
        ),
        (tmp_path / "empty.pth", "is the file whole"),
        (tmp_path / "empty.safetensors", "is the file whole"),
    ):
        recipe = spec["recipe"] | {"backbone": "test_resnet", "weights": str(weights)}
        with pytest.raises(ConfigError, match=told) as caught:
            Embedder(recipe, 3, 32)
        assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "evil").exists()


def test_memory_that_embedding_lacks_is_no_matter_of_the_batch(spec, store, monkeypatch):
    def none_left(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried\nmore")

    monkeypatch.setattr(TrainingImages, "measure", none_left)
    told = (
        r"^embedding images of 8 x 8 pixels .* \(CUDA .* Tried\); lower recipe.image_size, or take"
    )
    with pytest.raises(OutOfMemoryError, match=told):
        Trainer(spec, DATASET, store).train()


def test_embeddings_are_normalised_when_asked(spec):
    for normalize in (True, False):
        model = Embedder(spec["recipe"] | {"normalize": normalize}, 1, 8)
        norms = model(torch.rand(5, 1, 8, 8)).norm(dim=1)
        assert torch.allclose(norms, torch.ones(5), atol=1e-6) == normalize
    model = Embedder(spec["recipe"] | {"normalize": "evaluation"}, 1, 8)
    images = torch.rand(5, 1, 8, 8)
    plain = model.train()(images)
    assert (plain.norm(dim=1) - 1).abs().min() > 1e-3
    torch.testing.assert_close(model.eval()(images), torch.nn.functional.normalize(plain, dim=1))
    model.head = torch.nn.Identity()  # so are features before the head
    assert torch.allclose(model(images).norm(dim=1), torch.ones(5), atol=1e-6)


def test_two_collapsed_classes_are_measured_not_divided_by_zero():
    ids = np.arange(6)
    labels = np.array([0, 0, 0, 1, 1, 1])
    points = np.repeat([[0.0, 0], [1, 1]], 3, axis=0).astype(np.float32)
    assert recall_at(points, labels, ids, 1) == 1.0


@lru_cache
def benchmark():
    """The plan of the benchmark; reading it takes a second and more."""
    return load_config(ROOT / "config.yaml")


def benchmark_methods():
    """Every loss with every sampler that the benchmark's config combines, swept ones included."""
    plan = benchmark()
    return sorted({(m[1], m[2]) for methods in plan.methods.values() for m in methods})


@pytest.mark.parametrize(("loss", "sampler"), benchmark_methods(), ids=str)
def test_every_method_of_the_benchmark_trains(spec, store, loss, sampler):
    plan = benchmark()
    spec["recipe"]["epochs"] = 1
    spec["loss"] = {"name": loss, **plan.losses[loss]}
    classes = {"per_class": 16} if plan.samplers[sampler]["per_class"] else {}
    spec["sampler"] = plan.samplers[sampler] | classes  # digits have two classes
    trainer = Trainer(spec, DATASET, store)
    before = [p.detach().clone() for p in (*trainer.loss.parameters(), *trainer.model.parameters())]
    history = pd.DataFrame(trainer.train().history)
    after = [*trainer.loss.parameters(), *trainer.model.parameters()]
    assert np.isfinite(history["loss"]).all()
    assert all((a != b).any() for a, b in zip(after, before, strict=True))
