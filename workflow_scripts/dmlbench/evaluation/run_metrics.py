"""All metrics of one run's stored embeddings: what ``metrics.json`` holds."""

import logging
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.data.splits import run_index
from dmlbench.data.store import content_hash
from dmlbench.data.verification_pairs import of_run
from dmlbench.evaluation.embeddings import load_embeddings
from dmlbench.evaluation.metric import METRICS, Sample
from dmlbench.evaluation.query_metric import QueryMetric, query_rows
from dmlbench.evaluation.scored_pairs import pair_samples
from dmlbench.evaluation.split_parts import Part, StoredEmbeddings, part_counts, with_coarse_labels
from dmlbench.version import BENCHMARK_VERSION
from dmlbench.workflow.job_records import read_record
from dmlbench.workflow.provenance import step_code

log = logging.getLogger(__name__)


def measure_images(sample: Sample, names: Iterable[str]) -> list[dict]:
    """The rows of the named metrics for one part; those that are means over queries share a search.

    Metrics of pairs are left out.

    Raises:
        DataError: There are too few images for a metric.
    """
    metrics = [cls() for cls in map(METRICS.get, names) if not cls.of_pairs]
    of_queries = [metric for metric in metrics if isinstance(metric, QueryMetric)]
    rows = query_rows(sample, of_queries) if of_queries else []
    for metric in metrics:
        rows += [] if metric in of_queries else metric.rows(sample)
    return rows


def measure_run(plan: Plan, run: Run) -> dict:
    """Measure every part of the dataset that the config's splits cover.

    Raises:
        DataError: Embeddings are missing, damaged or not finite, or a metric cannot be computed.
    """
    settings, folder, facts = (
        plan.benchmark.evaluation,
        plan.run_folder(run),
        plan.facts(run.dataset),
    )
    prepared = pd.read_parquet(plan.data_folder(run) / paths.INDEX_FILE)
    index = run_index(prepared, plan.recipes[run.recipe], run.dataset, facts.train_label)
    parts = [part for part in facts.evaluations if part.split in settings.splits]
    rows, vectors = [], []
    for selection in plan.selections(run):
        stored = StoredEmbeddings(folder, selection, index)
        for part in parts:
            lengths = _lengths(stored.of(part)[0])
            vectors.append({"selection": selection, **part._asdict(), **lengths})
        measured = list(_of_images(plan, run, stored, parts))
        if plan.verifies(run.dataset):
            measured += _of_pairs(plan, run, selection, index)
        for part, found in measured:
            rows += [{"selection": selection, **part._asdict(), **row} for row in found]
    record = read_record(folder, plan.fingerprint(run))
    return {
        "run": run.__dict__,
        "selected_epochs": record["selected_epochs"],
        "benchmark_version": BENCHMARK_VERSION,
        "fingerprint": record["fingerprint"],
        "data": content_hash(prepared),
        "evaluation": settings.model_dump(),
        "code": step_code("evaluate"),
        "parts": [part_counts(part, index) for part in parts],
        "vectors": vectors,
        "metrics": rows,
    }


def _lengths(vectors: np.ndarray) -> dict:
    """Number, dimension and the shortest and longest of some embeddings (N x D)."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    count, dimension = vectors.shape
    ends = {"shortest": float(norms.min()), "longest": float(norms.max())}
    return {"vectors": count, "dimension": dimension, **ends}


def _of_images(
    plan: Plan, run: Run, stored: StoredEmbeddings, parts: list[Part]
) -> Iterator[tuple[Part, list[dict]]]:
    settings, resources = plan.benchmark.evaluation, plan.benchmark.resources.evaluate
    finer = plan.facts(run.dataset).sub_labels
    for part in with_coarse_labels(parts, finer):
        names = [n for n in settings.metrics if part in parts or METRICS.get(n).coarse_too]
        if not names:
            continue
        vectors, ids, labels = stored.of(part)
        log.info("%s, %s: %d images", stored.selection, part, len(ids))
        sub_labels = stored.labels(part, finer[part.label]) if part.label in finer else None
        where = resources.threads, resources.gpu > 0
        sample = Sample(vectors, labels, ids, settings, part.label, sub_labels, *where)
        yield part, measure_images(sample, names)


def _of_pairs(
    plan: Plan, run: Run, selection: str, index: pd.DataFrame
) -> Iterator[tuple[Part, list[dict]]]:
    settings, label = plan.benchmark.evaluation, plan.facts(run.dataset).train_label
    metrics = [METRICS.get(n)() for n in settings.metrics if METRICS.get(n).of_pairs]
    table = pd.read_parquet(plan.data_folder(run) / paths.PAIRS_FILE)
    file = plan.run_folder(run) / paths.embeddings(paths.OF_PAIRS, selection)
    for sample in pair_samples(of_run(table, index, label), *load_embeddings(file), settings):
        rows = [row for metric in metrics for row in metric.rows(sample)]
        yield Part("test", sample.protocol, label), rows
