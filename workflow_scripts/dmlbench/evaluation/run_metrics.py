"""All metrics of one run's stored embeddings: what ``metrics.json`` holds."""

import logging
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from dmlbench import BENCHMARK_VERSION
from dmlbench.config import Plan, Run
from dmlbench.config.dataset_facts import VALIDATION, Part
from dmlbench.config.variation import queries_of
from dmlbench.data.measured_images import copies_in_test, images_measured, measured_parts
from dmlbench.data.store import content_hash
from dmlbench.evaluation.coincidence import on_one_point
from dmlbench.evaluation.embeddings import (
    StoredEmbeddings,
    checksums_of_embeddings,
    index_measured,
)
from dmlbench.evaluation.metric import METRICS, QueryMetric, Sample, others_of_class, query_rows
from dmlbench.evaluation.scored_pairs import samples_of_run
from dmlbench.records import sealed
from dmlbench.workflow.job_records import read_record
from dmlbench.workflow.provenance import step_code

log = logging.getLogger(__name__)


def measure_images(sample: Sample, names: Iterable[str]) -> list[dict]:
    """The rows of the named metrics for one part, without metrics of pairs."""
    metrics = [cls() for cls in map(METRICS.get, names) if not cls.of_pairs]
    of_queries = [metric for metric in metrics if isinstance(metric, QueryMetric)]
    rows = query_rows(sample, of_queries) if of_queries else []  # one search for all of them
    for metric in metrics:
        rows += [] if metric in of_queries else metric.rows(sample)
    return rows


def measure_run(plan: Plan, run: Run) -> dict:
    """Measure every part of the dataset that the config's splits cover.

    The result is sealed (:func:`dmlbench.records.sealed`), and names the SHA-256 of
    the embeddings that it is of. A DataError says that embeddings are missing, damaged or not
    finite, that a metric cannot vary, or that the run was trained on other data.
    """
    settings, folder = plan.benchmark.evaluation, plan.run_folder(run)
    whole = index_measured(plan, run)
    copies = copies_in_test(plan, run, whole)
    index, parts = images_measured(plan, run, whole), measured_parts(plan, run)
    rows, vectors = [], []
    for selection in plan.measured(run):
        stored = StoredEmbeddings(plan, run, selection, index)
        for part in parts:
            embeddings, _, _ = stored.of(part)
            norms = np.linalg.norm(embeddings.astype(np.float64), axis=1)
            sizes = {"vectors": len(embeddings), "dimension": embeddings.shape[1]}
            sizes |= {"shortest": float(norms.min()), "longest": float(norms.max())}
            sizes["one_point"] = on_one_point(embeddings)
            vectors.append({"selection": selection, **part._asdict(), **sizes})
        measured = list(_of_images(plan, run, stored, parts))
        if plan.verifies(run.dataset):
            measured += _of_pairs(plan, run, selection, whole)
        for part, found in measured:
            rows += [{"selection": selection, **part._asdict(), **row} for row in found]
    record = read_record(folder, plan.fingerprint(run))
    measured = {
        "run": run.__dict__,
        "selected_epochs": record["selected_epochs"],
        "benchmark_version": BENCHMARK_VERSION,
        "fingerprint": record["fingerprint"],
        "data": content_hash(whole),
        "evaluation": settings.model_dump(),
        "code": step_code("measure", "evaluate"),
        "duplicates": {
            "same": int(copies["same"].sum()),
            "near": int((~copies["same"]).sum()),
            "left_out": {str(part): _left_out(part, whole, index) for part in parts},
        },
        "embeddings": checksums_of_embeddings(plan, run),
        "parts": [part_counts(part, index) for part in parts],
        "vectors": vectors,
        "metrics": rows,
    }
    return sealed(measured)


def _left_out(part: Part, whole: pd.DataFrame, index: pd.DataFrame) -> list[int]:
    """How many queries, and images of the gallery, of a part are in ``whole`` but not ``index``."""
    before, after = part_counts(part, whole), part_counts(part, index)
    return [before[what] - after[what] for what in ("queries", "gallery")]


def part_counts(part: Part, index: pd.DataFrame) -> dict:
    """What a checker must know of one evaluated part of a run's index.

    Every image is one of the ``queries``; its ``gallery`` are the others. ``held_out`` are training
    images left out of the part, for validation; ``trained_classes`` those of its ``classes`` that
    training images have; ``chance`` is the Recall@1 of neighbours drawn at random; of the class of
    ``unmatched`` queries no other image is in the gallery; ``copies`` are images of the gallery
    with the pixels of a query that is another image; of ``fixed`` queries no embedding changes
    Recall@1 (:class:`dmlbench.config.variation.Queries`).

    Where queries and gallery are apart there are also ``images``: of both.
    """
    rows, roles = part.rows(index), part.roles(index)
    labels = index[part.label].iloc[rows]
    codes, classes = pd.factorize(labels)
    others = others_of_class(codes, roles)
    trained = index.loc[index["split"] == "train", part.label]
    queries, gallery = roles or np.ones((2, len(rows)), dtype=bool)
    # A query is not its own neighbour.
    found = sum(
        others[queries & (gallery == one)].sum() / queries.sum() / max(1, gallery.sum() - one)
        for one in (True, False)
    )
    content = index["content"].to_numpy()[rows]
    copied = np.bincount(content[queries], minlength=content.max() + 1)[content] > queries
    held_out = part._replace(split=VALIDATION).rows(index) if part.split == "train" else ()
    return {
        **part._asdict(),
        "queries": int(queries.sum()),
        "gallery": int(gallery.sum()) - (roles is None),
        "held_out": len(held_out),
        "classes": len(classes),
        "trained_classes": int(labels.drop_duplicates().isin(trained).sum()),
        "chance": float(found),
        "unmatched": int((others[queries] == 0).sum()),
        "copies": int((copied & gallery).sum()),
        "fixed": int((queries & ~queries_of(part, index).open).sum()),
        **({"images": len(rows)} if roles else {}),
    }


def with_coarse_labels(parts: list[Part], sub_labels: dict[str, str]) -> list[Part]:
    """The parts, and each place of one by every coarse label, by which classes collapse.

    Those are the keys of ``sub_labels``. Training may see them where tests measure only finer ones.
    """
    coarse = [Part(p.split, p.subset, label) for p in parts for label in sub_labels]
    return list(dict.fromkeys([*parts, *coarse]))


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
        told = part.label, sub_labels, *where, stored.roles(part)
        sample = Sample(vectors, labels, ids, settings, *told)
        yield part, measure_images(sample, names)


def _of_pairs(
    plan: Plan, run: Run, selection: str, index: pd.DataFrame
) -> Iterator[tuple[Part, list[dict]]]:
    settings, label = plan.benchmark.evaluation, plan.facts(run.dataset).train_label
    metrics = [METRICS.get(n)() for n in settings.metrics if METRICS.get(n).of_pairs]
    for sample in samples_of_run(plan, run, index, selection):
        rows = [row for metric in metrics for row in metric.rows(sample)]
        yield Part("test", sample.view, label), rows
