"""A training that was interrupted ends like one that was not."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import SCRIPTS, config_with, run_script
from training_runs import LOSSES, RUN, StopAfter, config_file, left, trained_in_parts

from dmlbench import paths
from dmlbench.config import resolve_config
from dmlbench.data.duplicates import find_duplicates
from dmlbench.data.store import ImageStore, content_hash
from dmlbench.errors import DataError, DivergedError, LeaveNow, TrainingError
from dmlbench.records import write_table
from dmlbench.training.checkpoint import Checkpoint
from dmlbench.training.session import train_run
from dmlbench.training.snapshot import _module_state, _restore_module, unsaved
from dmlbench.training.step import EpochRecord, Step

TIMES = ["seconds", "images_per_second"]
#: What has a state of its own beside the weights.
OF_TODAY = {
    "optimizer": {"name": "adamw", "lr": 0.003, "weight_decay": 0.01, "head_lr": 0.01},
    "schedule": {"name": "cosine", "by": "step", "warmup_epochs": 1},
    "warmup_head_epochs": 1,
    "clip_grad_norm": 0.5,
    "ema": 0.95,
}
#: Embeddings differ between training and evaluation.
LENGTHS = {
    "loss": {"type": "hyperbolic"},
    "sampler": {"per_class": 16, "positive": "easy", "negative": "hardest_semihard"},
    "normalize": "evaluation",
}
SWAPS = {"sampler": {"per_class": 16, "positive": "random", "negative": "rho_distance"}}
BY_EPOCH = {"schedule": {"name": "multistep", "at": [2], "warmup_epochs": 1}, "chunk": 20}


@pytest.fixture
def plan(request, tmp_path, monkeypatch):
    """The smoke config in a folder of its own, which is the working directory."""
    file = config_file(tmp_path, **getattr(request, "param", {}))
    monkeypatch.chdir(tmp_path)
    return resolve_config(yaml.safe_load(file.read_text()), "test")


def weights(plan) -> dict[str, bytes]:
    folder = plan.run_folder(plan.run_by_id(RUN))
    return {file.name: file.read_bytes() for file in folder.glob("*.safetensors")}


@pytest.fixture
def small_disk(plan):
    """A real disk of 1 MB under the checkpoints of the config."""
    place = plan.checkpoint_folder(plan.run_by_id(RUN))
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a tmpfs")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_one_line_and_it_goes_on_from_the_last_whole_checkpoint(plan, small_disk):
    trained_in_parts(plan, steps=1000)
    whole, run = weights(plan), plan.run_by_id(RUN)
    (plan.run_folder(run) / "run.json").unlink()
    with pytest.raises(LeaveNow):
        train_run(plan, run, stopping=StopAfter(20))
    checkpoint = small_disk / paths.CHECKPOINT_FILE
    saved = checkpoint.read_bytes()
    other = small_disk / "others"
    other.write_bytes(bytes(shutil.disk_usage(small_disk).free - (16 << 10)))  # a lock fits
    with pytest.raises(DataError, match="No space left on device") as told:
        train_run(plan, run, every=0.001)
    assert str(told.value).startswith(f"{small_disk}: ")
    assert "go on from the last checkpoint" in str(told.value)
    assert len(str(told.value).splitlines()) == 1
    assert checkpoint.read_bytes() == saved
    assert left(plan) == sorted([paths.CHECKPOINT_FILE, "others"])
    other.unlink()
    train_run(plan, run)
    assert weights(plan) == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "sampler", "recipe"),
    [
        (
            {"type": "margin"},
            {"per_class": 16, "positive": "random", "negative": "distance"},
            {"crop": "random_resized", "image_size": 8},
        ),
        (
            {
                "type": f"{LOSSES}.CrossBatchMemory",
                "loss": {"type": f"{LOSSES}.ContrastiveLoss"},
                "memory_size": 100,
            },
            {"per_class": 16},
            {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "precision": "bfloat16"},
        ),
        ({"type": "margin"}, {"per_class": 16, "positive": "easy", "negative": "hard"}, OF_TODAY),
    ],
    ids=["margin", "memory", "schedule"],
)
def test_ten_kills_at_random_moments_change_no_byte(loss, sampler, recipe, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        file = config_file(folder, loss, sampler, epochs=6, **recipe)
        prepared = folder / paths.PREPARED.format(dataset="digits_even_odd", store="original")
        images = ImageStore(prepared)
        found = find_duplicates(images)
        write_table(prepared / paths.DUPLICATES_FILE, found, content_hash(images.index))
    seed = str(np.random.default_rng().integers(2**31))
    command = [sys.executable, Path(__file__).with_name("ten_kills.py"), file, RUN, whole, killed]
    environment = os.environ | {"PYTHONPATH": f"{SCRIPTS}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [*map(str, command), seed], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    kills, resumed = map(int, done.stdout.split())
    assert kills == 10
    assert resumed >= 3  # the others began before there was a checkpoint
    runs = [folder / "results/smoke/runs" / RUN for folder in (whole, killed)]
    names = sorted(file.name for file in runs[0].iterdir())
    assert {"metrics.json", "model_last.safetensors", "history.csv"} <= set(names)
    assert names == sorted(file.name for file in runs[1].iterdir())
    for name in set(names) - {"history.csv", "run.json"}:
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), f"{name}, {seed}"
    histories = [pd.read_csv(run / "history.csv", dtype=str) for run in runs]
    pd.testing.assert_frame_equal(*(history.drop(columns=TIMES) for history in histories))


@pytest.mark.parametrize(
    "plan",
    [{}, OF_TODAY | {"epochs": 3}, BY_EPOCH | {"epochs": 3}, LENGTHS, SWAPS],
    indirect=True,
    ids=["plain", "by step", "by epoch", "lengths", "swaps"],
)
def test_a_training_left_at_every_place_ends_as_one_that_was_not(plan):
    train_run(plan, plan.run_by_id(RUN))
    whole = weights(plan)
    # 22 steps and three measurements; it leaves inside epochs, and after each before it measures.
    assert trained_in_parts(plan, steps=7) > 4
    assert weights(plan) == whole
    assert left(plan) == []


def test_the_history_can_be_read_while_it_trains(plan):
    run = plan.run_by_id(RUN)
    per_epoch = -(-720 // 32)
    with pytest.raises(LeaveNow):
        train_run(plan, run, stopping=StopAfter(per_epoch + 5))
    history = pd.read_csv(plan.run_folder(run) / "history.csv")
    assert history["epoch"].tolist() == [1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"recipes": {"digits_8d": {"optimizer": {"lr": 0.5}}}},
            "another config: recipe.optimizer.lr was 0.003, is 0.5;",
        ),
        ({"losses": {"triplet": {"margin": 0.3}}}, "another config: loss.margin was 0.2, is 0.3;"),
    ],
)
def test_a_checkpoint_of_another_config_is_refused_by_what_differs(plan, change, told):
    with pytest.raises(LeaveNow):
        train_run(plan, plan.run_by_id(RUN), stopping=StopAfter(3))
    config = config_with()
    for section, entries in change.items():
        for name, values in entries.items():
            for key, value in values.items():
                old = config[section][name].get(key)
                merged = {**old, **value} if isinstance(old, dict) else value
                config[section][name][key] = merged
    other = resolve_config(config, "test")
    with pytest.raises(TrainingError, match=told):
        train_run(other, other.run_by_id(RUN))
    assert left(plan) == [paths.CHECKPOINT_FILE]


def test_a_checkpoint_of_other_code_or_a_damaged_one_is_refused(tmp_path):
    identity = {
        "run": {"seed": 0},
        "code": {"losses/triplet.py": "1", "train.py": "2"},
        "data": {"images": "a"},
    }
    path = tmp_path / "checkpoint.pt"
    Checkpoint(path, identity).save({"step": 3})
    assert Checkpoint(path, identity).load() == {"step": 3}
    changed = identity | {"code": {"losses/triplet.py": "9", "train.py": "2"}}
    told = "another code: losses/triplet.py was '1', is '9'; .* delete "
    with pytest.raises(TrainingError, match=told):
        Checkpoint(path, changed).load()
    with pytest.raises(TrainingError, match="another dataset: images was 'a', is 'b'"):
        Checkpoint(path, identity | {"data": {"images": "b"}}).load()
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[:-1], whole[:700] + bytes([whole[700] ^ 1]) + whole[701:]):
        path.write_bytes(damaged)
        with pytest.raises(TrainingError, match="damaged checkpoint; to train from the start, del"):
            Checkpoint(path, identity).load()


def test_another_machine_is_only_told(tmp_path, caplog):
    path = tmp_path / "checkpoint.pt"
    Checkpoint(path, {"machine": {"gpu": "A"}}).save({"step": 3})
    assert Checkpoint(path, {"machine": {"gpu": "B"}}).load() == {"step": 3}
    assert "gpu was 'A', is 'B'" in caplog.text


def test_a_checkpoint_holds_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.system, ("touch /tmp/evil",))

    path = tmp_path / "checkpoint.pt"
    torch.save({"identity": {}, "state": Evil()}, path)
    path.write_bytes(path.read_bytes() + hashlib.sha256(path.read_bytes()).digest())
    with pytest.raises(TrainingError, match="no checkpoint"):
        Checkpoint(path, {}).load()


def test_a_diverged_loss_leaves_its_state_to_be_looked_at(plan):
    run = plan.run_by_id(RUN)
    plan.recipes["digits_8d"]["optimizer"] |= {"name": "sgd", "lr": 1e30}
    plan.recipes["digits_8d"]["normalize"] = False
    with pytest.raises(DivergedError, match=r"epoch 1, step 2.*; the state is in .*diverged\.pt"):
        train_run(plan, run)
    state = torch.load(plan.checkpoint_folder(run) / "diverged.pt", weights_only=True)["state"]
    assert state["progress"]["step"] == 1
    before, here = state["progress"]["record"]["steps"]["loss"].tolist()
    assert np.isfinite(before)
    assert not np.isfinite(here)
    assert all(v.isfinite().all() for v in state["modules"]["model"]["state"].values())


class Remembers(torch.nn.Module):
    """A loss that keeps what a state_dict does not hold."""

    def __init__(self):
        super().__init__()
        self.seen, self.queue = [], {}
        self.odd = np.zeros(2)


def test_what_a_loss_remembers_in_lists_goes_on_and_what_cannot_is_told():
    before, after = Remembers(), Remembers()
    before.seen += [torch.ones(2), 3]
    before.queue["a"] = [torch.zeros(1)]
    state = torch.load(io.BytesIO(saved(_module_state(before))), weights_only=True)
    _restore_module(after, state, torch.device("cpu"))
    assert torch.equal(after.seen[0], torch.ones(2))
    assert after.seen[1:] == [3]
    assert torch.equal(after.queue["a"][0], torch.zeros(1))
    assert unsaved(before, None) == ["Remembers.odd"]


def saved(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def test_weights_that_are_no_numbers_end_the_run(plan, monkeypatch):
    def spoil(self, *arguments):
        with torch.no_grad():
            next(self.model.parameters()).fill_(torch.nan)

    monkeypatch.setattr(Step, "take", spoil)
    monkeypatch.setattr(EpochRecord, "row", lambda self: {})
    with pytest.raises(DivergedError, match="weights NaN or infinite in epoch 1"):
        train_run(plan, plan.run_by_id(RUN))


@pytest.mark.parametrize("option", ["--time-budget", "--checkpoint-every", "--wait"])
@pytest.mark.parametrize("value", ["0", "-5", "nan", "inf", "soon"])
def test_a_length_of_time_that_is_none_is_refused(option, value):
    done = run_script("train", "--config", "c", "--run", "r", f"{option}={value}")
    assert done.returncode == 2
    assert f"argument {option}: invalid duration value" in done.stderr
