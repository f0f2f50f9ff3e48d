"""What of a config's runs, images, cells and files is missing, with the reason: ``make status``."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from dmlbench import paths
from dmlbench.checking.check import check, words
from dmlbench.checking.ledger import MISSING, OK, LedgerEntry
from dmlbench.checking.results import Results, part_of
from dmlbench.config import Plan, Run
from dmlbench.config.folders import contents
from dmlbench.config.own_images import FolderDataset
from dmlbench.errors import UserError
from dmlbench.reporting.figures import figure_files
from dmlbench.workflow.job_records import RUNNING

_MOST = 20  #: lines of one kind beyond this many are counted


def left_out(plan: Plan, runs: list[Run]) -> list[str]:
    """Lines on images that are not used, on cells that stay empty in ``runs``, and why."""
    lines = Counter(_beside_images(plan))
    for run in runs:
        try:
            measured = json.loads((plan.run_folder(run) / paths.METRICS_FILE).read_text("utf-8"))
            lines.update(_not_measured(plan, run, measured))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            kind = type(error).__name__
            lines[f"{run.id}: {paths.METRICS_FILE} is damaged ({kind}); measure it again"] += 1
    return [f"{line} ({count} runs)" if count > 1 else line for line, count in lines.items()]


def _beside_images(plan: Plan) -> Iterator[str]:
    """What lies in a user's folder and is no image of a class."""
    for name, own in plan.benchmark.datasets.items():
        if isinstance(own, FolderDataset):
            try:
                _, others = contents(own)
            except UserError as error:  # it may have gone since the plan was stored
                others = str(error)
            if others:
                yield f"{name}: left out: {others}"


def _not_measured(plan: Plan, run: Run, measured: dict) -> Iterator[str]:
    name = run.dataset
    for part in measured["parts"]:
        where = " ".join(filter(None, (name, *part_of(part))))
        if number := part.get("unmatched"):
            yield f"{where}: {number} queries have no match in the gallery, and count as missed"
        if number := part.get("copies"):
            yield f"{where}: {number} images of the gallery are copies of a query"
    for found in measured["vectors"] if run.trained else ():
        if found.get("one_point"):
            where = " ".join((run.id, found["selection"], *filter(None, part_of(found))))
            yield f"{where}: collapsed: all embeddings lie on one point"
    dropped = measured.get("duplicates", {}).get("left_out", {})
    for part, (queries, gallery) in dropped.items():
        if plan.benchmark.evaluation.exclude_duplicates and (queries or gallery):
            many = f"{queries} queries and {gallery} images of the gallery"
            yield f"{name} {part}: {many} left out, training has the images"
    for row in measured["metrics"]:
        if row["value"] is None:
            k = f"@{row['k']}" if row["k"] else ""
            why = row["note"] or "no reason is stored"
            where = f"{name} {row['split']} {row['label']} {row['selection']}"
            yield f"{where}: no {row['metric']}{k}: {why}"


def reasons(entries: Collection[LedgerEntry]) -> list[str]:
    """Why runs are missing, what became of those that failed, and what trainings did not use."""
    missing = Counter(entry.reason for entry in entries if entry.state == MISSING)
    lines = [f"{number} missing: {reason}" for reason, number in missing.most_common()]
    told = [entry for entry in entries if entry.state not in (OK, MISSING)]
    told.sort(key=lambda entry: entry.state == RUNNING)
    lines += _first(
        f"{entry.run.id} {entry.state}"
        + (f": {entry.reason}" if entry.reason else "")
        + (f"; log: {entry.log}" if entry.log else "")
        for entry in told
    )
    notes = Counter((entry.run.dataset, entry.note) for entry in entries if entry.note)
    return lines + _first(
        f"{dataset}, {number} run{'s' * (number > 1)}: {note}"
        for (dataset, note), number in notes.most_common()
    )


def breaches(plan: Plan) -> list[str]:
    """What the checker finds in the runs that are there, such as a metric that is missing."""
    try:
        results = Results.read(plan)
    except UserError as error:
        return str(error).splitlines()
    there = {entry.run.id for entry in results.entries if entry.state == OK}
    return words([breach for breach in check(results) if breach["run"] in there])


def not_made(plan: Plan, whole: bool) -> list[str]:
    """The tables, figures and pages that are not there; ``whole``: all runs are."""
    name = plan.benchmark.name
    tabled = (*plan.benchmark.experiments, *paths.OVERVIEWS)
    tables = [paths.table(name, each, "md") for each in tabled]
    files = [*tables, *figure_files(plan), paths.summary_page(name), paths.report(name)]
    missing = [file for file in files if not Path(file).exists()]
    waits = "" if whole or plan.benchmark.partial else "; they wait for the runs that are missing"
    return _first(f"not made yet: {file}{waits}" for file in missing)


def _first(lines: Iterable[str]) -> list[str]:
    lines = list(lines)
    return lines[:_MOST] + ([f"and {len(lines) - _MOST} more"] if len(lines) > _MOST else [])
