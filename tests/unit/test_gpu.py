"""What only a GPU can show; skipped where there is none."""

import copy

import numpy as np
import pytest
import torch
import yaml
from training_runs import RUN, config_file, trained_in_parts

from dmlbench.config import resolve_config
from dmlbench.data.dataset import get_dataset
from dmlbench.data.prepare import prepare
from dmlbench.data.reader import ImageReader
from dmlbench.data.store import ImageStore
from dmlbench.training.loop import Trainer
from dmlbench.training.session import train_run
from dmlbench.training.step import EpochRecord

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
CROPS = {"crop": "random_resized", "image_size": 32, "device": "cuda"}


@pytest.fixture
def store(tmp_path):
    prepare(get_dataset("digits_even_odd"), {}, tmp_path)
    return ImageStore(tmp_path)


OF_TODAY = {"schedule": {"name": "cosine", "by": "step"}, "ema": 0.9, "clip_grad_norm": 1.0}
WAYS = [
    {"device": "cuda"} | way
    for way in (
        {},
        CROPS,
        CROPS | {"precision": "bfloat16"},
        OF_TODAY | {"precision": "tf32", "chunk": 20},
        OF_TODAY | {"precision": "bfloat16", "compile": True},
    )
]


@pytest.fixture(params=WAYS)
def trainer(request, smoke_config, store):
    smoke_config["recipes"]["digits_8d"] |= request.param
    plan = resolve_config(smoke_config, "test")
    spec = plan.spec(next(iter(plan.runs.values())))

    def make():
        return Trainer(copy.deepcopy(spec), get_dataset("digits_even_odd"), store)

    return make


@pytest.mark.parametrize("mean_std", ["none", "imagenet"])
def test_images_are_the_cpus_with_channels_last(store, smoke_config, mean_std):
    smoke_config["recipes"]["digits_8d"] |= CROPS | {"mean_std": mean_std}
    recipe = resolve_config(smoke_config, "test").recipes["digits_8d"]
    rows, seeds = np.arange(64), np.arange(64)
    cpu, gpu = (
        next(ImageReader(store, recipe, 0, torch.device(kind)).batches([rows], [seeds]))
        for kind in ("cpu", "cuda")
    )
    assert gpu.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(gpu.cpu(), cpu)


def test_an_epoch_waits_for_nothing(trainer):
    run = trainer()
    run.progress.record = EpochRecord("triplet", 1, [])
    run._pass()  # what is allocated the first time
    run.progress.step, run.progress.record = 0, EpochRecord("triplet", 1, [])
    torch.cuda.set_sync_debug_mode("error")
    try:
        run._pass()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_run_repeats_to_the_bit(trainer):
    first, second = (trainer().train() for _ in range(2))
    for name, weights in first.selections.weights["last"].items():
        assert weights.is_contiguous()
        assert torch.equal(weights, second.selections.weights["last"][name])
    assert [row["loss"] for row in first.history] == [row["loss"] for row in second.history]


@pytest.mark.parametrize("way", WAYS)
def test_a_training_left_at_every_place_ends_as_one_that_was_not(way, tmp_path, monkeypatch):
    file = config_file(tmp_path, epochs=3, **way)
    monkeypatch.chdir(tmp_path)
    plan = resolve_config(yaml.safe_load(file.read_text()), "test")
    run = plan.run_by_id(RUN)
    train_run(plan, run)
    kept = plan.run_folder(run) / "model_last.safetensors"
    whole = kept.read_bytes()
    assert trained_in_parts(plan, steps=7) > 4
    assert kept.read_bytes() == whole
