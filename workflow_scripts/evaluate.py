#!/usr/bin/env python
"""Measure the stored embeddings of one run: metrics.json."""

import logging

import pandas as pd

from dmlbench import cli, paths
from dmlbench.config import load_config
from dmlbench.data.splits import run_index
from dmlbench.errors import DataError
from dmlbench.evaluation.embeddings import load_embeddings
from dmlbench.evaluation.measure import Part, measure
from dmlbench.files import write_json
from dmlbench.provenance import evaluation_code
from dmlbench.records import read_record

log = logging.getLogger("dmlbench.evaluate")


def main(args) -> None:
    """Measure every part of the dataset that the config's splits cover."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    evaluation = plan.benchmark.evaluation
    settings = evaluation.model_dump()
    index = pd.read_parquet(plan.data_folder(run) / paths.INDEX_FILE)
    index = run_index(index, plan.recipes[run.recipe]["test_fold"])
    folder = plan.run_folder(run)
    parts = [Part(*e) for e in plan.facts(run.dataset)["evaluations"] if e[0] in settings["splits"]]
    rows = []
    for selection in plan.benchmark.selections:
        for part in parts:
            vectors, ids = load_embeddings(folder / paths.embeddings(part.split, selection))
            wanted = part.rows(index)
            place = pd.Series(range(len(ids)), index=ids)
            part_ids = index["id"].to_numpy()[wanted]
            if not set(part_ids) <= set(ids):
                raise DataError(f"{folder}: embeddings of {part.split} lack images; embed again")
            labels = index[part.label].astype("category").cat.codes.to_numpy()[wanted]
            chosen = vectors[place[part_ids]]
            per_class = evaluation.nmi_plus_of(part.label)
            measured = measure(chosen, labels, part_ids, settings, per_class)
            where = " ".join(filter(None, (part.split, part.subset, part.label)))
            log.info("%s, %s: recall %.4f", selection, where, measured[0]["value"])
            rows += [{"selection": selection, **part.__dict__, **row} for row in measured]
    record = read_record(folder, plan.fingerprint(run))
    result = {
        "run": run.__dict__,
        "selected_epochs": record["selected_epochs"],
        "evaluation": settings,
        "code": evaluation_code(),
        "metrics": rows,
    }
    write_json(folder / "metrics.json", result)


if __name__ == "__main__":
    cli.run(main, cli.run_parser(__doc__))
