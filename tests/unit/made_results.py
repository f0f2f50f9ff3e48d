"""Results made up: what a finished run leaves, without a training, holding every rule."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import BENCHMARK_VERSION, paths
from dmlbench.checking.ledger import ledger, write_ledger
from dmlbench.checking.results import part_of
from dmlbench.config import RANDOM, Plan, Run
from dmlbench.config.dataset_facts import clusters_per_class
from dmlbench.files import checksum_of
from dmlbench.records import SEAL, sealed
from dmlbench.reporting.collect import collect
from dmlbench.seeding import derive_seed

STEPS = 20
IMAGES = {"queries": 363, "gallery": 362, "held_out": 0, "classes": 6, "chance": 0.164}


def make_results(plan: Plan, folder: Path) -> None:
    """Write the records, histories and metrics of every run of ``plan`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / paths.CONFIG_FILE).write_text(plan.benchmark.as_json())
    for run in plan.all_runs.values():
        make_run(plan, run, paths.run_in(folder, run.id))


def gather(plan: Plan) -> pd.DataFrame:
    """Write the ledger and the collected tables of the results; returns all metrics."""
    name = plan.benchmark.name
    write_ledger(ledger(plan), paths.local(paths.ledger(name)))
    collect(plan)
    return pd.read_parquet(paths.summary(name, "metrics"))


def make_run(plan: Plan, run: Run, folder: Path) -> None:
    """What one run leaves; its values follow from its names."""
    folder.mkdir(parents=True, exist_ok=True)
    record = record_of(plan, run)
    write(folder / paths.METRICS_FILE, sealed(metrics_of(plan, run)))
    if run.trained:
        epochs = plan.recipes[run.recipe]["epochs"]
        history = pd.DataFrame({"epoch": range(1, epochs + 1), "steps": STEPS, "loss": 0.1})
        history["seconds"] = 1 + 0.1 * run.seed + 0.01 * history["epoch"]
        history["recall_at_1_test_max"] = 0.5 + 0.01 * history["epoch"]
        history["recall_at_1_val"] = 0.6 + 0.01 * history["epoch"]
        history.to_csv(folder / "history.csv", index=False)
        weights = {paths.model(s): f"{s} of {run.id}" for s in plan.selections(run)}
        record["outputs"] = weights | {"history.csv": checksum_of(folder / "history.csv")}
    write(folder / "run.json", sealed(record))


def write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value))


def write_sealed(path: Path, content: dict) -> None:
    """Write a doctored record or metrics as a job would."""
    write(path, sealed({key: value for key, value in content.items() if key != SEAL}))


def share(content: dict, row: dict, value: float) -> float:
    """What of a row's queries is next to ``value`` and can be found."""
    (asked,) = {p["queries"] for p in content["parts"] if part_of(p) == part_of(row)}
    return round(value * asked) / asked


def write_metrics(path: Path, content: dict) -> None:
    """Write doctored metrics as a job would: Recall@K of whole queries, and sealed."""
    for row in content["metrics"]:
        if row["metric"] == "recall" and row["value"] is not None:
            row["value"] = share(content, row, row["value"])
    write_sealed(path, content)


def record_of(plan: Plan, run: Run) -> dict:
    """A ``run.json``."""
    epochs = plan.recipes[run.recipe]["epochs"] if run.trained else 0
    return {
        "run": plan.spec(run),
        "fingerprint": plan.fingerprint(run),
        "code": "c0de",
        "files": {"dmlbench.training.loop": "aa", f"dmlbench.losses.{run.loss}": run.loss},
        "data": f"data of {run.dataset}",
        "selected_epochs": dict.fromkeys(plan.selections(run), epochs),
        "initial_weights": hashlib.sha256(f"{run.dataset} {run.seed}".encode()).hexdigest(),
        "device": "cpu",
        "gpu": None,
        "seconds": 10.0 * (run.seed + 1),
        "peak_memory_mb": {"host": 900 + run.seed, "gpu": None},
        "host": "here",
        "python": "3.11",
        "packages": {"torch": "2.15.0"},
        "git": {"commit": "f" * 40, "dirty": False},
    }


def metrics_of(plan: Plan, run: Run) -> dict:
    """A ``metrics.json``: Recall@K, NMI, NMI+ and MAP@R of every part."""
    settings = plan.benchmark.evaluation.model_dump()
    facts, recipe = plan.facts(run.dataset), plan.recipes[run.recipe]
    parts, vectors, rows = [], [], []
    for split, subset, label in facts.evaluations:
        if split not in settings["splits"]:
            continue
        part = {"split": split, "subset": subset, "label": label}
        where = f"{split}/{subset}" if subset else split
        queries = facts.counts.get(where, IMAGES["queries"])
        trained = IMAGES["classes"] if subset == "seen" or split == "train" else 0
        counts = {"queries": queries, "gallery": queries - 1, "trained_classes": trained}
        parts.append({**part, **IMAGES, **counts})
        for selection in plan.selections(run):
            length = 1.0 if recipe["normalize"] else 7.0
            lengths = {"dimension": recipe["embedding_dim"], "shortest": length, "longest": length}
            vectors.append({"selection": selection, **part, "vectors": queries, **lengths})
            for metric, k, value in values(plan, run, selection, part):
                value = round(value * queries) / queries if metric == "recall" else value
                row = {"metric": metric, "k": k, "value": value, "note": ""}
                rows.append({"selection": selection, **part, **row})
    return {
        "run": run.__dict__,
        "benchmark_version": BENCHMARK_VERSION,
        "fingerprint": plan.fingerprint(run),
        "data": f"data of {run.dataset}",
        "evaluation": settings,
        "embeddings": {},
        "code": "e0a1",
        "parts": parts,
        "vectors": vectors,
        "metrics": rows,
    }


def values(plan: Plan, run: Run, selection: str, part: dict) -> list[tuple[str, int, float]]:
    """Metric, k and value of all that a config may ask for; every method and seed has its own."""
    if run.loss == RANDOM:
        base, noise = IMAGES["chance"], 0.0
    else:
        names = (run.dataset, run.recipe, run.loss, run.sampler)
        base = 0.3 + 0.3 * np.random.default_rng(derive_seed(*names)).random()
        rng = np.random.default_rng(derive_seed(*names, run.seed, selection, *part.values()))
        noise = 0.01 * rng.standard_normal()
    first = float(np.clip(base + noise, 0, 0.9))
    ks = plan.benchmark.evaluation.recall_at
    found = [("recall", k, first + 0.01 * place) for place, k in enumerate(sorted(ks))]
    found += [(name, 0, first / 2) for name in ("r_precision", "map_at_r", "mrr")]
    found += [("nmi", 6, max(first - 0.1, 0)), ("ami", 6, first - 0.2)]
    if "h_ap" in plan.benchmark.evaluation.metrics:
        found += [("h_ap", 0, first / 3), ("same_sub_label", 1, first / 4)]
    if factor := clusters_per_class(plan.benchmark.evaluation, part["label"]):
        found.append(("nmi_plus", 6 * factor, max(first - 0.05, 0)))
    return found
