"""Gathering what all finished runs left; the means of tables for ``dvc metrics`` and ``plots``."""

from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.checking.ledger import OK, LedgerEntry
from dmlbench.checking.results import Measured, Results, part_of
from dmlbench.config import METHOD_KEYS, RUN_KEYS, Plan
from dmlbench.errors import DataError
from dmlbench.files import replacing, write_json
from dmlbench.records import write_table
from dmlbench.reporting import names
from dmlbench.reporting.collected import read_printed

_CURVE = "recall_at_1_test_max"
#: What tables read of histories, where nothing was trained.
_HISTORY = ["epoch", "seconds", *RUN_KEYS]
_MEASURE = ["selection", "split", "subset", "label", "metric"]


def collect(plan: Plan) -> None:
    """Write metrics, histories and records of every run as three long Parquet tables.

    Also ``curves.csv``: Recall@1 on the test after each epoch, mean over seeds, for ``dvc plots``.

    Raises:
        DataError: No run is finished; or one is not, and the config does not say partial; or files
            of one are not what its jobs wrote.
    """
    results = Results.read(plan)
    _refuse_gaps(plan, results.entries)
    altered = [f"{one.run.id}: {f}" for one in results.measured.values() for f in one.altered]
    altered += [
        f"{one.run.id}: {paths.METRICS_FILE}"
        for one in results.measured.values()
        if one.metrics["fingerprint"] != one.record["fingerprint"]
    ]
    if altered:
        raise DataError(
            f"{', '.join(altered)}: not what its job wrote; run check.py, which says more"
        )
    name, measured = plan.benchmark.name, results.measured.values()
    rows = []
    for one in measured:
        sizes, collapsed = one.sizes(), one.collapsed()
        for row in one.rows:
            point = {"collapsed": (row["selection"], *part_of(row)) in collapsed}
            rows.append(row | sizes.get(part_of(row), {}) | point | vars(one.run))
    # The column loss of collected tables is the run's entry in the config.
    histories = [
        one.history.rename(columns={"loss": "loss_value"}).assign(**vars(one.run))
        for one in results.trained
    ]
    tables = {
        "metrics": pd.DataFrame(rows),
        "history": pd.concat(histories) if histories else pd.DataFrame(columns=_HISTORY),
        "runs": pd.DataFrame([_origin(one) | vars(one.run) for one in measured]),
    }
    for key, table in tables.items():
        write_table(Path(paths.summary(name, key)), table, plan.fingerprint_of_all())
    with replacing(Path(paths.curves(name))) as temporary:
        _curves(plan, tables["history"]).to_csv(temporary, index=False, float_format="%.6f")


def _refuse_gaps(plan: Plan, entries: list[LedgerEntry]) -> None:
    """Raise DataError, which names missing runs with state and reason, unless partial is set."""
    missing = [entry for entry in entries if entry.state != OK]
    if len(missing) == len(entries):
        todo = "partial: true trains nothing; leave partial out and run the pipeline"
        todo = todo if plan.benchmark.partial else "run the pipeline first"
        raise DataError(f"none of the {len(entries)} runs is finished; {todo}")
    if plan.benchmark.partial or not missing:
        return
    lines = [f"{entry.run.id}: {entry.state}: {entry.reason}" for entry in missing[:10]]
    lines.append(
        f"{len(missing)} of {len(entries)} runs are not there; run the pipeline to the end, or set "
        "partial: true to make tables of the others"
    )
    raise DataError("\n".join(lines))


def _curves(plan: Plan, history: pd.DataFrame) -> pd.DataFrame:
    """Rows of experiment, method, epoch and recall, a percentage."""
    columns = ["experiment", "method", "epoch", "recall"]
    if _CURVE not in history:
        return pd.DataFrame(columns=columns)
    method = ["dataset", *METHOD_KEYS]
    means = history.dropna(subset=_CURVE).groupby([*method, "epoch"])[_CURVE].mean()
    means = (100 * means).rename("recall").reset_index()
    return pd.DataFrame(names.lines(plan)).query("control == ''").merge(means, on=method)[columns]


def _origin(one: Measured) -> dict:
    """Where a run was trained, with what, from which data's weights, how long, in what memory; and
    how many images of its test are in training too.
    """
    record, copies = one.record, one.metrics.get("duplicates", {})
    git, memory = record["git"], record.get("peak_memory_mb") or {}
    commit = (git["commit"] or "unknown")[:12] + (" + changes" if git["dirty"] else "")
    return {
        "host": record["host"],
        "device": record["gpu"] or record["device"],
        "python": record["python"],
        **record["packages"],
        "commit": commit,
        "code": record["code"],
        "pretraining": record["run"]["recipe"].get("pretraining"),
        "seconds": record["seconds"],
        "peak_host_mb": memory.get("host"),
        "peak_gpu_mb": memory.get("gpu"),
        "same_images": copies.get("same"),
        "near_images": copies.get("near"),
        **{f"images_{key}": value for key, value in (record.get("images") or {}).items()},
    }


def write_means(plan: Plan) -> None:
    """Write ``means.json``, all means by experiment, method and measure, and ``means.csv``.

    The latter is a bar chart of the first measure of each experiment's table: method, measure,
    mean. Percentages.
    """
    name = plan.benchmark.name
    nested, bars = {}, [pd.DataFrame(columns=["method", "measure", "mean"])]
    for experiment in plan.benchmark.experiments:
        table = read_printed(plan, experiment).dropna(subset="mean")
        if table.empty:  # a partial config may have no run of it yet
            nested[experiment] = {}
            continue
        # Such as "last test seen digit recall@1".
        words = table[_MEASURE].apply(lambda row: " ".join(row.dropna()), axis=1)
        table["measure"] = words + "@" + table["k"].astype(str)
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
