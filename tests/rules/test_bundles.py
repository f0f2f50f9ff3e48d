"""Several trainings in one job: each is what it would be alone, and a failure takes none along."""

import json
import os

import pandas as pd
import pytest
import yaml
from conftest import config_with, job_counts, run_script, run_snakemake
from snakemake.persistence.file import FilePersistence

from dmlbench.config import load_config
from dmlbench.workflow.bundles import keep

LOSS = '''
"""A triplet loss that cannot be computed while a file says so."""

from pathlib import Path

from dmlbench.losses.base import register_loss
from dmlbench.losses.triplet import Triplet


@register_loss("fragile", takes="tuples", label="Fragile", terms_need_triplets=True)
class Fragile(Triplet):
    """The triplet loss."""

    def terms(self, bundle, tuples):
        if Path(f"fail_{self.margin:g}").exists():
            raise RuntimeError("broken on purpose")
        return super().terms(bundle, tuples)
'''
MARGINS = {"a": 0.1, "b": 0.2, "c": 0.3}
WEIGHTS = ["model_last.safetensors", "model_val.safetensors", "model_test_max.safetensors"]
TIMES = ["seconds", "images_per_second"]


def run_id(name: str) -> str:
    return f"digits_even_odd/digits_8d/{name}/eps/seed0"


def folder_of(base, name):
    return base / "results/smoke/runs" / run_id(name)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with a config whose trainings share a job, and their loss."""
    config = config_with() | {"seeds": [0], "resources": {"train": {"runs_per_job": 4}}}
    config["losses"] = {n: {"type": "fragile.Fragile", "margin": m} for n, m in MARGINS.items()}
    config["experiments"]["even_odd"]["methods"] = [{"loss": list(MARGINS), "sampler": "eps"}]
    (tmp_path / "bundle.yaml").write_text(yaml.safe_dump(config))
    config["resources"]["train"]["runs_per_job"] = 1
    (tmp_path / "single.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "fragile.py").write_text(LOSS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def train(folder, config, *options, file="run.json"):
    targets = [f"{folder_of(folder, n).relative_to(folder)}/{file}" for n in MARGINS]
    where = ("--configfile", folder / config, "--directory", folder)
    return run_snakemake("-c1", *targets, *options, *where, cwd=folder)


def test_a_run_that_fails_takes_none_along_and_only_it_is_trained_again(checkout):
    (checkout / "fail_0.2").touch()
    done = train(checkout, "bundle.yaml")
    assert done.returncode == 1
    assert "error: 1 of 4 runs failed here" in done.stderr
    assert f"error: {run_id('b')}: broken on purpose; log: results/smoke/logs/" in done.stderr
    assert not (folder_of(checkout, "b") / "run.json").exists()
    first = {n: os.stat(folder_of(checkout, n) / "run.json").st_mtime_ns for n in "ac"}

    (checkout / "fail_0.2").unlink()
    done = train(checkout, "bundle.yaml", file="metrics.json")
    assert done.returncode == 0, done.stderr
    assert first == {n: os.stat(folder_of(checkout, n) / "run.json").st_mtime_ns for n in "ac"}
    log = checkout / "results/smoke/logs/train/train_bundle_0.log"
    assert run_id("b") in log.read_text()
    assert run_id("a") not in log.read_text()
    # Snakemake knows them as single trainings, so that none is done again where none share a job.
    (checkout / "bundle.yaml").write_text((checkout / "single.yaml").read_text())
    assert "Nothing to be done" in train(checkout, "bundle.yaml", "-n", file="metrics.json").stdout
    assert not [*(checkout / "results/smoke/checkpoints").rglob("kept")]

    alone(checkout)
    for name in MARGINS:
        same(folder_of(checkout, name), folder_of(checkout / "alone", name))
    for file in ("embeddings_test_last.npz", "metrics.json"):
        mine, theirs = (folder_of(base, "a") / file for base in (checkout, checkout / "alone"))
        assert mine.read_bytes() == theirs.read_bytes()


def alone(checkout):
    """Train each run by its own process, and embed and evaluate one."""
    (checkout / "alone").mkdir()
    (checkout / "alone" / "data").symlink_to(checkout / "data")
    for name in MARGINS:
        by_hand(checkout, name, "train")
    by_hand(checkout, "a", "embed", "trained")
    by_hand(checkout, "a", "measure", "evaluate")


def by_hand(checkout, name, *step):
    where = ("--config", checkout / "single.yaml", "--run", run_id(name))
    done = run_script(*step, *where, cwd=checkout / "alone")
    assert done.returncode == 0, done.stderr


def same(mine, theirs):
    for file in WEIGHTS:
        assert (mine / file).read_bytes() == (theirs / file).read_bytes()
    histories = [pd.read_csv(each / "history.csv").drop(columns=TIMES) for each in (mine, theirs)]
    pd.testing.assert_frame_equal(*histories)
    records = [json.loads((each / "run.json").read_text()) for each in (mine, theirs)]
    for record in records:
        for key in ("seconds", "peak_memory_mb", "seal"):
            record.pop(key)
        record["outputs"].pop("history.csv")  # holds times
    assert records[0] == records[1]


def test_a_bundle_that_is_killed_keeps_what_it_has_finished(checkout, monkeypatch):
    """Snakemake takes all outputs of a job that was killed for half made."""
    done = train(checkout, "bundle.yaml")
    assert done.returncode == 0, done.stderr
    # As after a kill of everything while c was trained: second names, and marks of Snakemake's.
    monkeypatch.chdir(checkout)
    plan = load_config("bundle.yaml")
    for name in "ab":
        keep(plan, plan.run_by_id(run_id(name)))
    (folder_of(checkout, "c") / "run.json").unlink()
    (folder_of(checkout, "a") / "model_last.safetensors").unlink()
    persistence = FilePersistence()
    for name in MARGINS:
        for file in (*WEIGHTS, "run.json", "history.csv"):
            path = folder_of(checkout, name).relative_to(checkout) / file
            persistence._delete_record(str(path))
            persistence._mark_incomplete(str(path), None)
    counts = job_counts(train(checkout, "bundle.yaml", "-n", "--rerun-incomplete").stdout)
    assert counts == {"train_bundle_0": 1, "total": 1}
    assert (folder_of(checkout, "a") / "model_last.safetensors").exists()
