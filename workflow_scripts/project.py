#!/usr/bin/env python
"""Project one run's stored embeddings to the plane with t-SNE."""

from pathlib import Path

import pandas as pd

from dmlbench import cli
from dmlbench.evaluation.embeddings import load_embeddings
from dmlbench.evaluation.projection import evenly, tsne
from dmlbench.files import replacing


def main(args) -> None:
    """Write coordinates with ids and labels. Embeddings in the plane are kept as they are."""
    vectors, ids = load_embeddings(args.embeddings)
    kept = evenly(len(ids), args.max_images)
    vectors, ids = vectors[kept], ids[kept]
    flat = vectors.shape[1] == 2
    points = vectors if flat else tsne(vectors, args.perplexity, args.seed)
    index = pd.read_parquet(args.index).set_index("id").loc[ids].reset_index()
    stored = ["height", "width", "channels", "offset", "content"]
    table = index.drop(columns=stored).assign(
        x=points[:, 0], y=points[:, 1], method="none" if flat else "t-SNE"
    )
    with replacing(args.out) as temporary:
        table.to_parquet(temporary, index=False)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--embeddings", type=Path, required=True, help="embeddings to project")
    parser.add_argument("--index", type=Path, required=True, help="prepared index")
    parser.add_argument("--max-images", type=int, default=2000, help="at most this many")
    parser.add_argument("--perplexity", type=float, default=30.0, help="perplexity of t-SNE")
    parser.add_argument("--seed", type=int, default=0, help="seed of t-SNE")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    cli.run(main, parser)
