#!/usr/bin/env python
"""Compute what figures show of one run's embeddings: neighbours, histograms of similarity."""

import pandas as pd

from dmlbench import cli, paths
from dmlbench.config import load_config
from dmlbench.data.splits import run_index
from dmlbench.evaluation.parts import Part, Stored
from dmlbench.evaluation.pictures import nearest, queries, similarity_histogram
from dmlbench.files import replacing


def main(args) -> None:
    """Write both tables for every split that figures show, one block of rows for each part."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    benchmark, folder = plan.benchmark, plan.run_folder(run)
    prepared = pd.read_parquet(plan.data_folder(run) / paths.INDEX_FILE)
    facts = plan.facts(run.dataset)
    index = run_index(prepared, plan.recipes[run.recipe], run.dataset, facts["train_label"])
    stored = Stored(folder, benchmark.projection.selection, index)
    for split in plan.projected_splits:
        neighbours, histograms = [], []
        for part in (Part(*p) for p in facts["evaluations"] if p[0] == split):
            vectors, ids, labels = stored.of(part)
            asked = queries(labels, ids, benchmark.gallery.queries)
            found = nearest(vectors, labels, ids, asked, benchmark.gallery.neighbours)
            neighbours.append(found.assign(**part.__dict__))
            histogram = similarity_histogram(vectors, labels, benchmark.projection.max_images)
            histograms.append(histogram.assign(**part.__dict__))
        for tables, file in (
            (neighbours, paths.neighbours(split)),
            (histograms, paths.similarities(split)),
        ):
            with replacing(folder / file) as temporary:
                pd.concat(tables, ignore_index=True).to_parquet(temporary, index=False)


if __name__ == "__main__":
    cli.run(main, cli.run_parser(__doc__))
