"""Made-up runs: everything that a finished run leaves, in the real format, without a training.

Recall rises with the number of the method, so that tests know what must come out.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import RANDOM, Plan, Run
from dmlbench.evaluation.facts import part_facts
from dmlbench.evaluation.parts import Part
from dmlbench.evaluation.pictures import nearest, queries, similarity_histogram
from dmlbench.protocol import BENCHMARK_VERSION

GIT = {"commit": "0123456789abcdef0123", "dirty": False}


def strength(plan: Plan, run: Run) -> float:
    """How good a made-up method is: 0 for controls, then rising with its place in the config."""
    methods = [m for some in plan.methods.values() for m in some]
    method = (run.recipe, run.loss, run.sampler)
    return (1 + methods.index(method)) / (1 + len(methods)) if method in methods else 0.0


def make_up(plan: Plan, index: pd.DataFrame) -> None:
    """Write every planned run of a config below the working directory.

    Args:
        plan: A config whose experiments are all on one dataset.
        index: The prepared index of that dataset.
    """
    dataset = plan.datasets[0]
    parts = [Part(*part) for part in plan.facts(dataset)["evaluations"]]
    parts = [part for part in parts if part.split in plan.benchmark.evaluation.splits]
    facts = [part_facts(part, index) for part in parts]
    pictures = {
        s: _pictures(plan, index, [p for p in parts if p.split == s]) for s in plan.projected_splits
    }
    for run in plan.all_runs.values():
        folder = plan.run_folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([run.seed, int(1000 * strength(plan, run))])
        _write(folder / "run.json", _record(plan, run, index))
        _write(folder / paths.METRICS_FILE, _metrics(plan, run, parts, facts, index, rng))
        if run.trained:
            _history(plan, run, rng).to_csv(folder / "history.csv", index=False)
        for selection in plan.selections(run):
            if run.trained:
                (folder / paths.model(selection)).touch()
            for split in plan.benchmark.evaluation.splits:
                (folder / paths.embeddings(split, selection)).touch()
        if run.trained and run.seed in plan.projected_seeds:
            for file, table in pictures.items():
                table.to_parquet(folder / file, index=False)


def _write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _record(plan: Plan, run: Run, index: pd.DataFrame) -> dict:
    spec = plan.spec(run)
    weights = hashlib.sha256(f"{spec['recipe']['backbone']} {run.seed}".encode()).hexdigest()
    epochs = spec["recipe"]["epochs"]
    return {
        "run": spec,
        "fingerprint": plan.fingerprint(run),
        "code": "0" * 16,
        "files": {},
        "data": index.attrs["sha256"],
        "initial_weights": None if run.loss == RANDOM else weights,
        "selected_epochs": dict.fromkeys(plan.selections(run), epochs if run.trained else 0),
        "seconds": 60.0 if run.trained else 0.0,
        "peak_memory_mb": {"host": 900, "gpu": None},
        "device": "cpu",
        "gpu": None,
        "host": "made-up",
        "machine": "x86_64",
        "python": "3.11",
        "packages": {"torch": "2.15.0"},
        "git": GIT,
        "slurm_job_id": None,
    }


def _history(plan: Plan, run: Run, rng: np.random.Generator) -> pd.DataFrame:
    epochs = plan.recipes[run.recipe]["epochs"]
    epoch = np.arange(1, epochs + 1)
    recall = 0.3 + 0.5 * strength(plan, run) * epoch / epochs + 0.01 * rng.random(epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "steps": 10,
            "loss": 1 / epoch,
            "seconds": 2 + rng.random(epochs),
            "images_per_second": 300.0,
            "recall_at_1_val": recall,
            "recall_at_1_test_max": recall - 0.02,
        }
    )


def _metrics(plan, run, parts, facts, index, rng) -> dict:
    settings = plan.benchmark.evaluation.model_dump()
    rows, vectors = [], []
    for selection in plan.selections(run):
        for part, fact in zip(parts, facts, strict=True):
            base = 0.3 + 0.5 * strength(plan, run) + 0.02 * rng.random()
            if run.loss == RANDOM:
                base = fact["chance"]
            about = {"selection": selection, **part.__dict__, "note": ""}
            for k in settings["recall_at"]:
                value = 1 - (1 - base) ** (1 + np.log2(k))
                rows.append({**about, "metric": "recall", "k": k, "value": value})
            for name in ("nmi", "nmi_plus", "ami", "r_precision", "map_at_r", "mrr", "d_prime"):
                rows.append({**about, "metric": name, "k": 0, "value": base * 0.9})
            dimension = plan.recipes[run.recipe]["embedding_dim"]
            size = {"vectors": fact["queries"], "dimension": dimension}
            vectors.append({**about, **size, "shortest": 1.0, "longest": 1.0})
    return {
        "run": run.__dict__,
        "selected_epochs": {},
        "evaluation": settings,
        "code": "0" * 16,
        "benchmark_version": BENCHMARK_VERSION,
        "fingerprint": plan.fingerprint(run),
        "data": index.attrs["sha256"],
        "parts": facts,
        "vectors": vectors,
        "metrics": rows,
    }


def _pictures(plan: Plan, index: pd.DataFrame, parts: list[Part]) -> dict[str, pd.DataFrame]:
    """Projection, neighbours and histograms of one split, the same for every run."""
    split = parts[0].split
    rng = np.random.default_rng(0)
    mine = index[index["split"] == split].drop(columns=["height", "width", "channels", "offset"])
    places = rng.standard_normal((len(mine), 2)).astype(np.float32)
    neighbours, histograms = [], []
    for part in parts:
        rows = part.rows(index)
        ids, labels = index["id"].to_numpy()[rows], index[part.label].to_numpy()[rows]
        vectors = rng.standard_normal((len(rows), 8)).astype(np.float32)
        vectors += labels.astype("int64")[:, None] % 3
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        asked = queries(labels, ids, plan.benchmark.gallery.queries)
        found = nearest(vectors, labels, ids, asked, plan.benchmark.gallery.neighbours)
        neighbours.append(found.assign(**part.__dict__))
        histograms.append(similarity_histogram(vectors, labels, 200).assign(**part.__dict__))
    points = mine.drop(columns="content").assign(x=places[:, 0], y=places[:, 1], method="t-SNE")
    return {
        paths.projection(split): points,
        paths.neighbours(split): pd.concat(neighbours),
        paths.similarities(split): pd.concat(histograms),
    }
