#!/usr/bin/env python
"""Compute one run's accept rates on the pairs of its dataset, at every threshold."""

import pandas as pd

from dmlbench import cli, paths
from dmlbench.config import load_config
from dmlbench.data.splits import run_index
from dmlbench.data.verification_pairs import of_run
from dmlbench.evaluation.embeddings import load_embeddings
from dmlbench.evaluation.pictures import accept_curve
from dmlbench.evaluation.protocols import scored_pairs
from dmlbench.files import replacing


def main(args) -> None:
    """Write one curve for each protocol, of the pairs that verification scores."""
    plan = load_config(args.config)
    run = plan.run_by_id(args.run)
    data, folder = plan.data_folder(run), plan.run_folder(run)
    prepared = pd.read_parquet(data / paths.INDEX_FILE)
    train_label = plan.facts(run.dataset)["train_label"]
    index = run_index(prepared, plan.recipes[run.recipe], run.dataset, train_label)
    table = of_run(pd.read_parquet(data / paths.PAIRS_FILE), index, train_label)
    selection = plan.benchmark.projection.selection
    vectors, ids = load_embeddings(folder / paths.embeddings(paths.OF_PAIRS, selection))
    curves = [
        accept_curve(pairs).assign(protocol=protocol)
        for protocol, pairs in scored_pairs(table, vectors, ids).items()
    ]
    with replacing(folder / paths.ROC_FILE) as temporary:
        pd.concat(curves, ignore_index=True).to_parquet(temporary, index=False)


if __name__ == "__main__":
    cli.run(main, cli.run_parser(__doc__))
