#!/usr/bin/env python
"""Project one run's stored embeddings to the plane with t-SNE."""

import pandas as pd

from dmlbench import cli, paths
from dmlbench.config import load_config
from dmlbench.evaluation.embeddings import load_embeddings
from dmlbench.evaluation.projection import evenly, tsne
from dmlbench.files import replacing


def main(args) -> None:
    """Write coordinates with ids and labels. Embeddings in the plane are kept as they are."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    settings = plan.benchmark.projection
    folder = plan.run_folder(run)
    index = pd.read_parquet(plan.data_folder(run) / paths.INDEX_FILE).set_index("id")
    for split in plan.projected_splits:
        vectors, ids = load_embeddings(folder / paths.embeddings(split, settings.selection))
        kept = evenly(len(ids), settings.max_images)
        vectors, ids = vectors[kept], ids[kept]
        flat = vectors.shape[1] == 2
        points = vectors if flat else tsne(vectors, settings.perplexity, run.seed)
        stored = ["height", "width", "channels", "offset", "content"]
        table = index.loc[ids].reset_index().drop(columns=stored)
        table = table.assign(x=points[:, 0], y=points[:, 1], method="none" if flat else "t-SNE")
        with replacing(folder / paths.projection(split)) as temporary:
            table.to_parquet(temporary, index=False)


if __name__ == "__main__":
    cli.run(main, cli.run_parser(__doc__))
