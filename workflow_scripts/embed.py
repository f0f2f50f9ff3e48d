#!/usr/bin/env python
"""Embed the images of one run's dataset with each of its kept weights."""

from pathlib import Path

from dmlbench import cli, paths


def main(args) -> None:
    """Write one file of embeddings for every split and selection asked for."""
    import numpy as np

    from dmlbench.data.reader import ImageReader
    from dmlbench.data.store import ImageStore
    from dmlbench.evaluation.embeddings import save_embeddings
    from dmlbench.models.embed import embed
    from dmlbench.training.artefacts import load_model, read_run
    from dmlbench.training.determinism import make_deterministic, pick_device

    record = read_run(args.run)
    make_deterministic(record["run"]["threads"])
    recipe = record["run"]["recipe"]
    device = pick_device(recipe["device"])
    store = ImageStore(args.index, args.pixels)
    reader = ImageReader(store, recipe["image_size"], recipe["invert"])
    for selection in args.selections:
        model = load_model(args.run, record, selection, device)
        for split in args.splits:
            rows = np.flatnonzero((store.index["split"] == split).to_numpy())
            ids = store.index["id"].to_numpy()[rows]
            vectors = embed(model, reader, rows, device)
            save_embeddings(args.run / paths.embeddings(split, selection), vectors, ids)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a trained run")
    parser.add_argument("--index", type=Path, required=True, help="prepared index")
    parser.add_argument("--pixels", type=Path, required=True, help="prepared pixel store")
    parser.add_argument("--splits", nargs="+", default=["test"], help="splits to embed")
    parser.add_argument("--selections", nargs="+", default=["last"], help="weights to use")
    cli.run(main, parser)
