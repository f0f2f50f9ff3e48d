"""Gathering what all planned runs left."""

import json
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.errors import DataError
from dmlbench.files import replacing
from dmlbench.records import read_record

RUN_COLUMNS = ["dataset", "recipe", "loss", "sampler", "seed"]


def collect(plan: Plan) -> None:
    """Write metrics, histories and records of every planned run as three long Parquet tables.

    Raises:
        DataError: A planned run has no metrics; names it.
    """
    tables: dict[str, list[pd.DataFrame]] = {"metrics": [], "history": [], "runs": []}
    for run in plan.runs.values():
        folder = plan.run_folder(run)
        try:
            result = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            # Here the column loss is the run's entry in the config.
            epochs = pd.read_csv(folder / "history.csv").rename(columns={"loss": "loss_value"})
            record = read_record(folder, plan.fingerprint(run))
        except OSError as error:
            raise DataError(f"{error.filename}: missing; the run has not finished") from None
        rows = pd.DataFrame(result["metrics"])
        origin = pd.DataFrame([_origin(record)])
        for name, table in (("metrics", rows), ("history", epochs), ("runs", origin)):
            tables[name].append(table.assign(**{c: getattr(run, c) for c in RUN_COLUMNS}))
    for name, parts in tables.items():
        with replacing(Path(paths.summary(plan.benchmark.name, name))) as temporary:
            pd.concat(parts, ignore_index=True).to_parquet(temporary, index=False)


def _origin(record: dict) -> dict:
    """Where a run was trained, with what, and for how long."""
    git = record["git"]
    commit = (git["commit"] or "unknown")[:12] + (" + changes" if git["dirty"] else "")
    return {
        "host": record["host"],
        "device": record["gpu"] or record["device"],
        "python": record["python"],
        **record["packages"],
        "commit": commit,
        "code": record["code"],
        "seconds": record["seconds"],
    }
