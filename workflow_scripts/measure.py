#!/usr/bin/env python
"""What is computed from one run's stored embeddings: its metrics, and what figures show of it."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dmlbench import cli, paths
from dmlbench.config import Plan, Run, load_config
from dmlbench.records import write_table
from dmlbench.workflow.copies import Copies, hear_signals
from dmlbench.workflow.provenance import step_code


def evaluate(args) -> None:
    """Measure every part of the dataset that the config's splits cover: metrics.json."""
    from dmlbench.evaluation.run_metrics import measure_run
    from dmlbench.files import write_json
    from dmlbench.neighbours.faiss_loading import load_faiss

    if len(args.run) > 1:
        # Imported once for all, as the code is looked up once.
        import sklearn.metrics  # noqa: F401

        load_faiss()
        step_code("measure", "evaluate")
        results = Path(paths.results(load_config(args.config).benchmark.name))
        cli.do_each_alone(evaluate, args, Copies(results, "evaluate"))
        return
    hear_signals()
    plan = load_config(args.config)
    run = plan.run_by_id(args.run[0])
    write_json(plan.run_folder(run) / paths.METRICS_FILE, measure_run(plan, run))


def project(args) -> None:
    """Project to the plane with t-SNE; embeddings in the plane, or on a point, stay as they are."""
    from dmlbench.data.store import OF_PIXELS
    from dmlbench.evaluation.embeddings import embeddings_of, index_measured
    from dmlbench.evaluation.illustrations import evenly, in_plane

    plan, run = planned(args)
    settings = plan.benchmark.projection
    index = index_measured(plan, run).set_index("id")
    for split in plan.projected_splits:
        vectors, ids = embeddings_of(plan, run, split, settings.selection)
        kept = evenly(len(ids), settings.max_images)
        vectors, ids = vectors[kept], ids[kept]
        points, method = in_plane(vectors, settings.perplexity, run.seed)
        table = index.loc[ids].reset_index().drop(columns=list(OF_PIXELS))
        table = table.assign(x=points[:, 0], y=points[:, 1], method=method)
        write([table], plan, run, paths.projection(split))


def illustrate(args) -> None:
    """Look up the neighbours of some queries, and count genuine and impostor similarities."""
    from dmlbench.evaluation.embeddings import StoredEmbeddings, index_measured
    from dmlbench.evaluation.illustrations import neighbours_of, queries, similarity_histogram

    plan, run = planned(args)
    benchmark, index = plan.benchmark, index_measured(plan, run)
    stored = StoredEmbeddings(plan, run, benchmark.projection.selection, index)
    for split in plan.projected_splits:
        neighbours, histograms = [], []
        for part in (p for p in plan.facts(run.dataset).evaluations if p.split == split):
            vectors, ids, labels = stored.of(part)
            roles, shown = stored.roles(part), benchmark.gallery
            asked = queries(labels, ids, shown.queries, roles)
            found = neighbours_of(vectors, labels, ids, asked, shown.neighbours, roles)
            neighbours.append(found.assign(**part._asdict()))
            most = benchmark.projection.max_images
            histogram = similarity_histogram(vectors, labels, most, roles)
            histograms.append(histogram.assign(**part._asdict()))
        write(neighbours, plan, run, paths.neighbours(split))
        write(histograms, plan, run, paths.similarities(split))


def roc(args) -> None:
    """Compute accept rates at every threshold, on the pairs that verification scores."""
    from dmlbench.evaluation.embeddings import index_measured
    from dmlbench.evaluation.scored_pairs import samples_of_run

    plan, run = planned(args)
    index, selection = index_measured(plan, run), plan.benchmark.projection.selection
    curves = []
    for sample in samples_of_run(plan, run, index, selection):
        far, tar = sample.pairs.accept_rates(all_thresholds=False)
        curves.append(pd.DataFrame({"far": far, "tar": tar, "view": sample.view}))
    write(curves, plan, run, paths.ROC_FILE)


def planned(args) -> tuple[Plan, Run]:
    """The config's plan, and the run that the command line names."""
    plan = load_config(args.config)
    return plan, plan.run_by_id(args.run)


def write(tables: Iterable[pd.DataFrame], plan: Plan, run: Run, file: str) -> None:
    """Write tables as one Parquet file of a run, one after the other."""
    table = pd.concat(tables, ignore_index=True)
    write_table(plan.run_folder(run) / file, table, plan.fingerprint(run))


if __name__ == "__main__":
    steps = cli.Steps(__doc__)
    steps.add(evaluate, cli.runs_parser)
    steps.add(project, cli.run_parser)
    steps.add(illustrate, cli.run_parser)
    steps.add(roc, cli.run_parser)
    steps.run()
