"""Made-up results with what figures are drawn from, in the real formats, without a training."""

from pathlib import Path

import numpy as np
import pandas as pd
from made_results import make_results

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.data.store import OF_PIXELS
from dmlbench.evaluation.illustrations import neighbours_of, queries, similarity_histogram
from dmlbench.records import write_table


def make_up(plan: Plan, index: pd.DataFrame) -> None:
    """Write every planned run of a config below the working directory, weights empty.

    Args:
        plan: A config whose experiments are all on one dataset.
        index: The prepared index of that dataset.
    """
    make_results(plan, Path(paths.results(plan.benchmark.name)))
    pictures: dict[str, pd.DataFrame] = {}
    for split in plan.projected_splits:
        pictures |= _pictures(plan, index, split)
    for run in plan.all_runs.values():
        folder, chosen = plan.run_folder(run), plan.selections(run)
        splits = plan.benchmark.evaluation.splits
        if run.trained:
            for selection in chosen:
                (folder / paths.model(selection)).touch()
        # Each file after those that it is made from: Snakemake looks at the times.
        for file in (paths.embeddings(split, s) for split in splits for s in chosen):
            (folder / file).touch()
        if run.trained and run.seed in plan.projected_seeds:
            for file, table in pictures.items():
                write_table(folder / file, table, plan.fingerprint(run))
        (folder / paths.METRICS_FILE).touch()


def make_up_roc(plan: Plan, experiment: str) -> None:
    """Write the accept rates of an experiment's runs on View 2; each seed's are others."""
    for run in plan.experiment_runs(experiment):
        folder = plan.run_folder(run)
        folder.mkdir(parents=True)
        steps = {"far": [0, 0.01, 0.5, 1], "tar": [0.1, 0.4 + 0.1 * run.seed, 0.9, 1]}
        table = pd.DataFrame(steps).assign(view="view2")
        write_table(folder / paths.ROC_FILE, table, plan.fingerprint(run))


def _pictures(plan: Plan, index: pd.DataFrame, split: str) -> dict[str, pd.DataFrame]:
    """Projection, neighbours and histograms of one split, the same for every run."""
    evaluated = plan.facts(plan.datasets[0]).evaluations
    rng = np.random.default_rng(0)
    neighbours, histograms = [], []
    for part in (p for p in evaluated if p.split == split):
        rows = part.rows(index)
        ids, labels = index["id"].to_numpy()[rows], index[part.label].to_numpy()[rows]
        vectors = rng.standard_normal((len(rows), 8)).astype(np.float32)
        vectors += np.unique(labels, return_inverse=True)[1][:, None] % 3
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        asked = queries(labels, ids, plan.benchmark.gallery.queries)
        found = neighbours_of(vectors, labels, ids, asked, plan.benchmark.gallery.neighbours)
        neighbours.append(found.assign(**part._asdict()))
        histograms.append(similarity_histogram(vectors, labels, 200).assign(**part._asdict()))
    points = index[index["split"] == split].drop(columns=list(OF_PIXELS)).reset_index(drop=True)
    x, y = rng.standard_normal((2, len(points)))
    return {
        paths.projection(split): points.assign(x=x, y=y, method="t-SNE"),
        paths.neighbours(split): pd.concat(neighbours),
        paths.similarities(split): pd.concat(histograms),
    }
