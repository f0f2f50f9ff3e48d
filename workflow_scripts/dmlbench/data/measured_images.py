"""Which images of a run are measured, and whether what is measured of them can vary."""

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.config.dataset_facts import Part
from dmlbench.config.measure_checks import measure_problems
from dmlbench.config.variation import constant, counts_of
from dmlbench.data.store import content_hash
from dmlbench.errors import DataError
from dmlbench.records import read_table


def measured_parts(plan: Plan, run: Run) -> list[Part]:
    """The parts of a run's dataset that the config's splits cover."""
    settings = plan.benchmark.evaluation
    return [part for part in plan.facts(run.dataset).evaluations if part.split in settings.splits]


def copies_in_test(plan: Plan, run: Run, index: pd.DataFrame) -> pd.DataFrame:
    """The images of a run's test that its training, or validation, has too."""
    found = read_table(plan.data_folder(run) / paths.DUPLICATES_FILE, content_hash(index))
    return found[found["id"].isin(index.loc[index["split"] == "test", "id"])]


def images_measured(plan: Plan, run: Run, index: pd.DataFrame) -> pd.DataFrame:
    """The rows of a run's ``index`` that metrics are of: all, unless the config leaves copies out.

    A DataError has a line for each part of which no measure could vary, or that is too small for a
    K or a number of clusters.
    """
    settings = plan.benchmark.evaluation
    left = index
    if settings.exclude_duplicates:
        left = index[~index["id"].isin(copies_in_test(plan, run, index)["id"])]
    parts = measured_parts(plan, run)
    # Copies alone leave other metrics than Recall@1 something to measure.
    asked = left if "recall" in settings.metrics else left.assign(content=range(len(left)))
    problems = [_words(part, why, index, left) for part in parts if (why := constant(part, asked))]
    if not problems:
        counts = counts_of(parts, left)
        facts = plan.facts(run.dataset)
        problems = list(measure_problems(settings, run.dataset, facts, counts))
    if problems:
        raise DataError("\n".join(f"{run.dataset}: {line}" for line in problems))
    return left


def _words(part: Part, why: str, index: pd.DataFrame, left: pd.DataFrame) -> str:
    images = len(part.rows(index))
    if dropped := images - len(part.rows(left)):
        return (
            f"{why}; {dropped:,} of {images:,} images are in training too and left out: leave "
            "evaluation.exclude_duplicates out, or mend the split"
        )
    return f"{why}; mend the images, or measure another label column or split"
