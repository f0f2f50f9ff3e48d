#!/usr/bin/env python
"""Embed the images of one run's dataset with each of its kept weights."""

from pathlib import Path

from dmlbench import cli, paths
from dmlbench.config import load_config


def main(args) -> None:
    """Write one file for every split and selection of the config, or for the images of pairs."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    from dmlbench.data.reader import ImageReader
    from dmlbench.data.splits import run_index
    from dmlbench.data.store import ImageStore
    from dmlbench.evaluation.embeddings import images_of_files, save_embeddings
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
    index = run_index(store.index, recipe, run.dataset, plan.facts(run.dataset).train_label)
    files = images_of_files(index, plan.benchmark.evaluation.splits, args.pairs)
    for selection in plan.benchmark.selections:
        model = load_model(folder, record, selection, device)
        for part, rows in files.items():
            vectors = embed(model, reader, rows).cpu().numpy()
            ids = index["id"].to_numpy()[rows]
            save_embeddings(folder / paths.embeddings(part, selection), vectors, ids)


if __name__ == "__main__":
    parser = cli.run_parser(__doc__)
    parser.add_argument("--pairs", type=Path, help="only what this table of pairs names")
    cli.run(main, parser)
