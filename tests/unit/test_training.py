"""Training repeats to the bit, keeps the right weights and leaves nothing half-done."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import torch

from dmlbench.config import resolve_config
from dmlbench.data.dataset import get_dataset
from dmlbench.data.prepare import prepare
from dmlbench.data.store import ImageStore
from dmlbench.errors import DataError, TrainingError
from dmlbench.models.embedder import Embedder
from dmlbench.neighbours import recall_at
from dmlbench.records import read_record
from dmlbench.training.artefacts import load_model, save_run
from dmlbench.training.loop import Trainer
from dmlbench.training.monitors import Selections

DATASET = get_dataset("digits_even_odd")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    prepare(DATASET, {}, folder)
    return ImageStore(folder)


@pytest.fixture
def spec(smoke_config):
    plan = resolve_config(smoke_config, "test")
    return copy.deepcopy(plan.spec(plan.run_by_id("digits_even_odd/digits_8d/triplet/eps/seed0")))


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(spec, store):
    first, second = (Trainer(spec, DATASET, store).train() for _ in range(2))
    for name in spec["selections"]:
        assert same(first.selections.weights[name], second.selections.weights[name])
    times = ["seconds", "images_per_second"]
    pd.testing.assert_frame_equal(
        first.history.drop(columns=times), second.history.drop(columns=times)
    )
    other = Trainer(spec | {"seed": 1}, DATASET, store).train()
    assert not same(first.selections.weights["last"], other.selections.weights["last"])


def test_training_learns_parity_and_records_it(spec, store):
    spec["recipe"]["epochs"] = 8
    history = Trainer(spec, DATASET, store).train().history
    assert history["epoch"].tolist() == list(range(1, 9))
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] / 3
    assert history["recall_at_1_val"].iloc[-1] > 0.9
    assert history["positives_per_anchor"].between(14.5, 15).all()  # 16 per class, few copies


def test_methods_see_the_same_batches(spec, store):
    seen = []
    for positive in ("easy", "random"):
        spec["sampler"]["positive"] = {"type": positive}
        trainer = Trainer(spec, DATASET, store)
        rows = []
        step = trainer._step
        trainer._step = lambda batch, g, rows=rows, step=step: rows.append(batch) or step(batch, g)
        trainer.train()
        seen.append(np.concatenate(rows))
    assert (seen[0] == seen[1]).all()


def test_validation_images_are_never_trained_on(spec, store):
    trainer = Trainer(spec, DATASET, store)
    splits = store.index["split"].to_numpy()
    held_out = trainer.monitors["val"].rows
    assert (splits[trainer.rows] == "train").all()
    assert (splits[held_out] == "train").all()
    assert not set(trainer.rows) & set(held_out)
    assert (splits[trainer.monitors["test_max"].rows] == "test").all()


def test_a_diverged_loss_ends_the_run_with_one_line(spec, store):
    spec["recipe"]["optimizer"] |= {"name": "sgd", "lr": 1e30}
    spec["recipe"]["normalize"] = False
    with pytest.raises(TrainingError, match="no longer finite in epoch 1"):
        Trainer(spec, DATASET, store).train()


def test_selections_keep_the_first_best_and_the_last():
    model = torch.nn.Linear(1, 1)
    kept = Selections(["last", "val", "test_max"])
    for epoch, (val, test) in enumerate([(0.5, 0.9), (0.7, 0.8), (0.7, 0.9)], start=1):
        model.weight.data.fill_(epoch)
        kept.update(epoch, model, {"val": val, "test_max": test})
    assert kept.epochs == {"last": 3, "val": 2, "test_max": 1}
    assert {k: int(w["weight"]) for k, w in kept.weights.items()} == kept.epochs


def test_a_saved_model_gives_the_recall_that_was_measured(spec, store, tmp_path):
    trainer = Trainer(spec, DATASET, store)
    trained = trainer.train()
    save_run(tmp_path, spec, "print", trained)
    record = read_record(tmp_path, "print")
    with pytest.raises(DataError, match="other settings"):
        read_record(tmp_path, "another")
    for name in ("val", "test_max"):
        model = load_model(tmp_path, record, name, torch.device("cpu"))
        measured = trainer.monitors[name].measure(model, trainer.reader, torch.device("cpu"))
        assert measured == trained.selections.best[name]
    assert json.loads((tmp_path / "run.json").read_text())["run"] == spec


def test_an_interrupt_leaves_no_file_that_looks_finished(spec, store, tmp_path, monkeypatch):
    trained = Trainer(spec, DATASET, store).train()

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_run(tmp_path, spec, "print", trained)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "model_last.safetensors",
        "model_test_max.safetensors",
        "model_val.safetensors",
    ]
    with pytest.raises(DataError, match="has not finished"):
        read_record(tmp_path, "print")


def test_any_timm_backbone_trains(spec, store):
    spec["recipe"] |= {"backbone": "test_resnet", "epochs": 1, "image_size": 32, "freeze_bn": True}
    trained = Trainer(spec, DATASET, store).train()
    assert trained.history["loss"].notna().all()


def test_frozen_batch_norm_stays_frozen(spec):
    recipe = spec["recipe"] | {"backbone": "test_resnet", "freeze_bn": True}
    model = Embedder(recipe, 1, 32).train()
    before = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    model(torch.randn(4, 1, 32, 32))
    assert before
    assert same(before, {k: model.state_dict()[k] for k in before})


def test_embeddings_are_normalised_when_asked(spec):
    for normalize in (True, False):
        model = Embedder(spec["recipe"] | {"normalize": normalize}, 1, 8)
        norms = model(torch.rand(5, 1, 8, 8)).norm(dim=1)
        assert torch.allclose(norms, torch.ones(5), atol=1e-6) == normalize


def test_two_collapsed_classes_are_measured_not_divided_by_zero():
    ids = np.arange(6)
    labels = np.array([0, 0, 0, 1, 1, 1])
    points = np.repeat([[0.0, 0], [1, 1]], 3, axis=0).astype(np.float32)
    assert recall_at(points, labels, ids, [1])[1] == 1.0
