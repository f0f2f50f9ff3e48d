"""Measuring again trains nothing; verification embeds what its pairs name."""

import json
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, job_counts, run_script, run_snakemake
from safetensors.numpy import load_file

from dmlbench.config import load_config
from dmlbench.evaluation.embeddings import embeddings_of
from dmlbench.files import write_parquet
from dmlbench.records import write_table

TRAINING = {"prepare", "train", "embed", "embed_pairs"}


def jobs(folder, config, tmp_path, *arguments):
    file = tmp_path / "changed.yaml"
    file.write_text(yaml.safe_dump(config))
    done = run_snakemake("-n", *arguments, "--configfile", file, "--directory", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return job_counts(done.stdout) if "Job stats:" in done.stdout else {}


def test_another_metric_measures_stored_embeddings_and_trains_nothing(
    smoke_run, smoke_config, tmp_path
):
    changes = {
        "metrics": ["recall", "map_at_r"],
        "recall_at": [1, 2, 100],
        "nmi_plus": 7,
        "kmeans_seeds": [4, 5],
        "kmeans_restarts": 2,
        "far": [0.05],
    }
    for key, value in changes.items():
        config = smoke_config | {"evaluation": smoke_config["evaluation"] | {key: value}}
        counts = jobs(smoke_run, config, tmp_path)
        assert counts["evaluate"] == 4 + 3, key  # controls are measured too
        assert counts["collect"] == counts["tables"] == 1
        assert not TRAINING & set(counts), (key, counts)


def test_the_metrics_of_a_run_are_the_config_s(smoke_run):
    table = pd.read_parquet(smoke_run / "results/smoke/summary/metrics.parquet")
    assert table.notna()["value"].all()
    measured = set(table["metric"])
    assert {"recall", "r_precision", "map_at_r", "mrr", "nmi", "nmi_plus", "ami"} <= measured
    sub = table[table["metric"] == "same_sub_label"]
    assert set(sub["label"]) == {"parity"}
    assert set(sub["subset"]) == {"seen", "unseen"}
    assert sub["value"].between(0.2, 1).all()


@pytest.mark.slow
def test_features_before_the_head_are_measured_beside_the_embeddings(
    smoke_config, tmp_path, monkeypatch
):
    smoke_config |= {"seeds": [0], "selections": ["last"]}
    smoke_config["evaluation"] |= {"body": True, "metrics": ["recall"]}
    smoke_config["recipes"]["digits_8d"]["epochs"] = 1
    (tmp_path / "body.yaml").write_text(yaml.safe_dump(smoke_config))
    table = "results/smoke/tables/even_odd"
    done = run_snakemake("-c2", f"{table}.md", "--configfile", "body.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / f"{table}.md").read_text()
    assert "last epoch, before the head" in text
    plan = load_config(tmp_path / "body.yaml")
    run = next(iter(plan.runs.values()))
    folder = tmp_path / plan.run_folder(run)
    monkeypatch.chdir(tmp_path)
    body, ids = embeddings_of(plan, run, "test", "last_body")
    embedded, same_ids = embeddings_of(plan, run, "test", "last")
    assert (ids == same_ids).all()
    assert body.shape == (len(embedded), 64)
    # The head takes the features as they were before they got length 1: a linear map of each.
    head = load_file(folder / "model_last.safetensors")
    directions = body @ head["head.weight"].T
    bias = head["head.bias"]
    for row in range(3):  # embedding = (s W b + bias) / norm for one s of each image
        found = [s * directions[row] + bias for s in np.geomspace(1e-2, 1e2, 20001)]
        cosine = [f @ embedded[row] / np.linalg.norm(f) for f in found]
        assert max(cosine) > 1 - 1e-4


def faces(folder, people=24, folds=4):
    """A little LFW, prepared: two gray images of each person, six people in a fold, and pairs."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    person = np.arange(2 * people) // 2
    pixels = rng.integers(0, 200, (people, 64))[person] + rng.integers(0, 50, (2 * people, 64))
    (folder / "pixels.bin").write_bytes(pixels.astype(np.uint8).tobytes())
    fold = person // (people // folds) + 1
    index = pd.DataFrame(
        {
            "id": np.arange(2 * people),
            "path": [f"{i:03d}" for i in range(2 * people)],
            "split": [f"fold{f}" for f in fold],
            "subset": "retrieval",
            "person": [f"p{p:02d}" for p in person],
            "height": 8,
            "width": 8,
            "channels": 1,
            "offset": 64 * np.arange(2 * people),
            "crc32": [crc32(image) for image in pixels.astype(np.uint8)],
            "content": np.arange(2 * people),
        }
    )
    index.attrs["sha256"] = "made up"
    write_parquet(folder / "index.parquet", index)
    left = np.arange(0, 2 * people, 2)
    other = left - left % 12 + (left + 2) % 12
    pairs = [
        pd.DataFrame({"left": left, "right": right, "same": same, "fold": fold[left]})
        for right, same in ((left + 1, True), (other, False))
    ]
    table = pd.concat(pairs).assign(view="view2", trained_on=False)
    write_table(folder / "pairs.parquet", table, index.attrs["sha256"])


def faces_config(smoke_config):
    recipe = smoke_config["recipes"]["digits_8d"]
    recipe |= {"test_fold": 2, "validation": 0, "batch_size": 8, "epochs": 1}
    smoke_config["samplers"]["eps"]["per_class"] = 2
    smoke_config["experiments"] = {
        "faces": {
            "dataset": "lfw_view2",
            "recipe": "digits_8d",
            "methods": [{"loss": "triplet", "sampler": "eps"}],
        }
    }
    return smoke_config | {
        "seeds": [0],
        "selections": ["last"],
        "evaluation": {"recall_at": [1], "nmi_plus": 2, "kmeans_seeds": [0]},
    }


def test_faces_are_verified_on_the_fold_that_was_not_trained_on(smoke_config, tmp_path):
    prepared = tmp_path / "data/prepared/lfw_view2/original"
    faces(prepared)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(faces_config(smoke_config)))
    out = prepared / "duplicates.parquet"
    looked = run_script("data", "duplicates", "--folder", prepared, "--out", out)
    assert looked.returncode == 0, looked.stderr
    run = "lfw_view2/digits_8d/triplet/eps/seed0"
    arguments = ("--config", "config.yaml", "--run", run)
    pairs = ("--pairs", "data/prepared/lfw_view2/original/pairs.parquet")
    for step, more in (
        ("train", ()),
        ("embed trained", ()),
        ("embed trained", pairs),
        ("measure evaluate", ()),
    ):
        done = run_script(*step.split(), *arguments, *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    folder = tmp_path / "results/smoke/runs" / run
    with np.load(folder / "embeddings_pairs_last.npz") as stored:
        assert len(stored["ids"]) == 48
    rows = json.loads((folder / "metrics.json").read_text())["metrics"]
    found = {row["metric"]: row for row in rows if row["subset"] == "view2"}
    assert found["verification_accuracy"]["note"].startswith("12 of 48 pairs; mean over 1 folds")
    assert found["eer"]["note"] == "6 genuine and 6 impostor pairs"
    assert found["tar_at_far_0.01"]["value"] is None
    assert found["auc"]["value"] > 0.9


def test_pairs_are_embedded_only_for_verification(smoke_config, tmp_path):
    config = faces_config(smoke_config)
    target = "results/smoke/runs/lfw_view2/digits_8d/triplet/eps/seed0/metrics.json"
    counts = jobs(tmp_path, config, tmp_path, target)
    assert counts["pairs"] == counts["embed_pairs"] == counts["embed"] == counts["evaluate"] == 1
    config["evaluation"]["metrics"] = ["recall"]
    counts = jobs(tmp_path, config, tmp_path, target)
    assert not {"pairs", "embed_pairs"} & set(counts)


def test_the_configs_plan_no_verification_where_there_are_no_pairs(tmp_path):
    done = run_snakemake(
        *("-n", "--configfile", ROOT / "configs/omniglot.yaml", "--directory", tmp_path)
    )
    assert "embed_pairs" not in done.stdout
