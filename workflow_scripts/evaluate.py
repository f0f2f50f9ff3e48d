#!/usr/bin/env python
"""Measure the stored embeddings of one run: metrics.json."""

import logging

import pandas as pd

from dmlbench import cli, paths
from dmlbench.config import load_config
from dmlbench.data.splits import run_index
from dmlbench.data.store import content_hash
from dmlbench.data.verification_pairs import of_run
from dmlbench.evaluation.embeddings import load_embeddings
from dmlbench.evaluation.facts import part_facts, vector_facts
from dmlbench.evaluation.measure import measure, measure_collapse
from dmlbench.evaluation.parts import Part, Stored, collapse_parts
from dmlbench.evaluation.protocols import verify
from dmlbench.files import write_json
from dmlbench.version import BENCHMARK_VERSION
from dmlbench.workflow.provenance import evaluation_code
from dmlbench.workflow.run_record import read_record

log = logging.getLogger("dmlbench.evaluate")


def main(args) -> None:
    """Measure every part of the dataset that the config's splits cover."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    settings = plan.benchmark.evaluation.model_dump()
    facts, recipe = plan.facts(run.dataset), plan.recipes[run.recipe]
    prepared = pd.read_parquet(plan.data_folder(run) / paths.INDEX_FILE)
    index = run_index(prepared, recipe, run.dataset, facts["train_label"])
    folder = plan.run_folder(run)
    parts = [Part(*part) for part in facts["evaluations"] if part[0] in settings["splits"]]
    resources = plan.benchmark.resources.evaluate
    rows, vectors_of = [], []
    for selection in plan.selections(run):
        stored = Stored(folder, selection, index)
        for part in parts:
            vectors, ids, labels = stored.of(part)
            log.info("%s, %s: %d images", selection, part, len(ids))
            vectors_of.append({"selection": selection, **part.__dict__, **vector_facts(vectors)})
            per_class = plan.benchmark.evaluation.nmi_plus_of(part.label)
            where = resources.threads, resources.gpu > 0
            measured = measure(vectors, labels, ids, settings, per_class, *where)
            rows += [{"selection": selection, **part.__dict__, **row} for row in measured]
        finer = facts.get("sub_labels", {})
        for part in collapse_parts(parts, finer) if "collapse" in settings["metrics"] else []:
            vectors, ids, labels = stored.of(part)
            sub_labels = stored.labels(part, finer.get(part.label))
            measured = measure_collapse(vectors, labels, ids, sub_labels, resources.threads)
            rows += [{"selection": selection, **part.__dict__, **row} for row in measured]
        if plan.verifies(run.dataset):
            table = pd.read_parquet(plan.data_folder(run) / paths.PAIRS_FILE)
            table = of_run(table, index, facts["train_label"])
            pairs = load_embeddings(folder / paths.embeddings(paths.OF_PAIRS, selection))
            for protocol, measured in verify(table, *pairs, settings["far"]).items():
                part = Part("test", protocol, facts["train_label"])
                rows += [{"selection": selection, **part.__dict__, **row} for row in measured]
    record = read_record(folder, plan.fingerprint(run))
    result = {
        "run": run.__dict__,
        "selected_epochs": record["selected_epochs"],
        "benchmark_version": BENCHMARK_VERSION,
        "fingerprint": record["fingerprint"],
        "data": content_hash(prepared),
        "evaluation": settings,
        "code": evaluation_code(),
        "parts": [part_facts(part, index) for part in parts],
        "vectors": vectors_of,
        "metrics": rows,
    }
    write_json(folder / paths.METRICS_FILE, result)


if __name__ == "__main__":
    cli.run(main, cli.run_parser(__doc__))
