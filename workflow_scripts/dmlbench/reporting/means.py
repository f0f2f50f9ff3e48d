"""The means of all tables in two small files: for git, ``dvc metrics`` and ``dvc plots``."""

from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.files import replacing, write_json

_MEASURE = ["selection", "split", "subset", "label", "metric"]


def write_means(plan: Plan) -> None:
    """Write ``means.json``, all means by experiment, method and measure, and ``means.csv``.

    The latter has one measure of each experiment, the first of its table, as rows
    ``method, measure, mean`` of a bar chart. Percentages.
    """
    name = plan.benchmark.name
    nested, bars = {}, []
    for experiment in plan.benchmark.experiments:
        table = pd.read_csv(paths.table(name, experiment, "csv")).dropna(subset="mean")
        table["measure"] = [_measure(row) for _, row in table.iterrows()]
        methods = table["recipe"] + "/" + table["loss"] + "/" + table["sampler"]
        nested[experiment] = {
            method: dict(zip(rows["measure"], rows["mean"], strict=True))
            for method, rows in table.groupby(methods, sort=False)
        }
        first = table[table["measure"].isin(table["measure"].head(1))]
        bars.append(first.assign(method=f"{experiment}: " + first["method"]))
    write_json(Path(paths.means(name, "json")), nested)
    with replacing(Path(paths.means(name, "csv"))) as temporary:
        columns = ["method", "measure", "mean"]
        pd.concat(bars)[columns].to_csv(temporary, index=False, float_format="%.6f")


def _measure(row: pd.Series) -> str:
    """Such as ``last test seen digit recall@1``."""
    words = " ".join(str(row[part]) for part in _MEASURE if pd.notna(row[part]))
    return words if pd.isna(row["k"]) else f"{words}@{row['k']:.0f}"
