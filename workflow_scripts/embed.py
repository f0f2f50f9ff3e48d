#!/usr/bin/env python
"""Embed the images of one run's dataset with each of its kept weights."""

from pathlib import Path

from dmlbench import cli, paths
from dmlbench.config import load_config


def main(args) -> None:
    """Write one file for every split and selection of the config, or for the images of pairs."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    import numpy as np
    import pandas as pd

    from dmlbench.data.reader import ImageReader
    from dmlbench.data.splits import run_index
    from dmlbench.data.store import ImageStore
    from dmlbench.evaluation.embeddings import save_embeddings
    from dmlbench.models.embed import embed
    from dmlbench.training.artefacts import load_model
    from dmlbench.training.device import make_deterministic, pick_device
    from dmlbench.workflow.run_record import read_record

    folder = plan.run_folder(run)
    record = read_record(folder, plan.fingerprint(run))
    make_deterministic(record["run"]["threads"])
    recipe = record["run"]["recipe"]
    device = pick_device(recipe["device"])
    store = ImageStore(plan.data_folder(run))
    reader = ImageReader(store, recipe, record["run"]["threads"], device)
    index = run_index(store.index, recipe, run.dataset, plan.facts(run.dataset).train_label)
    if args.pairs:
        named = np.unique(pd.read_parquet(args.pairs, columns=["left", "right"]))
        images = {paths.OF_PAIRS: index["id"].isin(named)}
    else:
        images = {s: index["split"] == s for s in plan.benchmark.evaluation.splits}
    for selection in plan.benchmark.selections:
        model = load_model(folder, record, selection, device)
        for part, wanted in images.items():
            rows = np.flatnonzero(wanted.to_numpy())
            ids = index["id"].to_numpy()[rows]
            vectors = embed(model, reader, rows).cpu().numpy()
            save_embeddings(folder / paths.embeddings(part, selection), vectors, ids)


if __name__ == "__main__":
    parser = cli.run_parser(__doc__)
    parser.add_argument("--pairs", type=Path, help="only what this table of pairs names")
    cli.run(main, parser)
