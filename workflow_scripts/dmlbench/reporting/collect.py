"""Gathering what all planned runs left."""

import json
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.files import replacing

RUN_COLUMNS = ["dataset", "recipe", "loss", "sampler", "seed"]


def run_folder(plan: Plan, run: Run) -> Path:
    """Where a run's files lie."""
    return paths.local(paths.run(plan.benchmark.name), **run.__dict__)


def collect(plan: Plan, metrics: Path, history: Path) -> None:
    """Write the metrics and the histories of every planned run as two long Parquet tables.

    Raises:
        DataError: A planned run has no metrics; names it.
    """
    tables: dict[str, list[pd.DataFrame]] = {"metrics": [], "history": []}
    for run in plan.runs.values():
        folder = run_folder(plan, run)
        try:
            result = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            epochs = pd.read_csv(folder / "history.csv")
        except OSError as error:
            raise DataError(f"{error.filename}: missing; the run has not finished") from None
        rows = pd.DataFrame(result["metrics"])
        for name, table in (("metrics", rows), ("history", epochs)):
            tables[name].append(table.assign(**{c: getattr(run, c) for c in RUN_COLUMNS}))
    for name, target in (("metrics", metrics), ("history", history)):
        with replacing(target) as temporary:
            pd.concat(tables[name], ignore_index=True).to_parquet(temporary, index=False)
