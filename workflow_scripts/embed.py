#!/usr/bin/env python
"""Embed the images of one run's dataset with each of its kept weights."""

from functools import partial
from pathlib import Path

from dmlbench import cli
from dmlbench.config import load_config


def main(args) -> None:
    """Write one file for every split and selection of the config, or for the images of pairs."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    from dmlbench.data.reader import ImageReader
    from dmlbench.data.store import ImageStore
    from dmlbench.evaluation.embeddings import embed_run
    from dmlbench.models.embedder import embed, load_model
    from dmlbench.training.device import make_deterministic, pick_device
    from dmlbench.workflow.job_records import read_record

    folder = plan.run_folder(run)
    record = read_record(folder, plan.fingerprint(run))
    recipe, threads = record["run"]["recipe"], record["run"]["threads"]
    make_deterministic(threads)
    device = pick_device(recipe["device"])
    store = ImageStore(plan.data_folder(run))
    reader = ImageReader(store, recipe, threads, device)
    for selection in plan.benchmark.selections:
        model = load_model(folder, record, selection, device)
        embed_run(plan, run, selection, args.pairs, partial(embed, model, reader))


if __name__ == "__main__":
    parser = cli.run_parser(__doc__)
    parser.add_argument("--pairs", type=Path, help="only what this table of pairs names")
    cli.run(main, parser)
