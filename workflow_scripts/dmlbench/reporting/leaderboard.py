"""The leaderboard: everything that ran on a dataset, in the order of its first test metric."""

import numpy as np
import pandas as pd

from dmlbench.config import METHOD_KEYS, SHUFFLED, UNTRAINED, Plan
from dmlbench.reporting import names
from dmlbench.reporting.cells import count, rows_where
from dmlbench.reporting.formats import Cell, Table
from dmlbench.reporting.statistics import NO_SEEDS, summarize
from dmlbench.reporting.table_lines import lines

_SHOWN = ("recall", "map_at_r", "nmi")
_METRIC = ["metric", "k"]


def leaderboard(plan: Plan, metrics: pd.DataFrame) -> pd.DataFrame:
    """A row for each dataset, method or control, and metric of the dataset's first test part.

    Columns: dataset, subset, label, method (in words), recipe, loss, sampler, control, metric, k,
    mean, sd, half_width, n, planned, rank, gain (over the untrained backbone of the same recipe).
    Percent, with the weights that controls are shown with (the last epoch). A method that lacks a
    seed has no rank.
    """
    parts = [_of_dataset(plan, dataset, metrics) for dataset in plan.datasets]
    return pd.concat(parts, ignore_index=True)


def _of_dataset(plan: Plan, dataset: str, metrics: pd.DataFrame) -> pd.DataFrame:
    _, subset, label = plan.facts(dataset).first_test()
    part = {"dataset": dataset, "subset": subset, "label": label}
    mine = rows_where(metrics, split="test", selection=plan.control_selection, **part)
    first = min(plan.benchmark.evaluation.recall_at)
    # NMI's k is a number of clusters: one for each part.
    mine = mine[mine["metric"].isin(_SHOWN) & ((mine["metric"] != "recall") | (mine["k"] == first))]
    values = mine.groupby([*METHOD_KEYS, *_METRIC])["value"].agg(list)
    kinds = sorted({key[-2:] for key in values.index}, key=lambda kind: _SHOWN.index(kind[0]))
    # Each method and control once, whatever experiments it is in; methods first.
    planned = lines(plan).query("dataset == @dataset").sort_values("control", kind="stable")
    rows = []
    for line in planned.drop_duplicates(METHOD_KEYS).to_dict("records"):
        for kind in kinds:
            seeds = values.get((*(line[name] for name in METHOD_KEYS), *kind))
            found = NO_SEEDS if seeds is None else summarize(100 * np.array(seeds))
            row = part | line | dict(zip(_METRIC, kind, strict=True)) | vars(found)
            rows.append(row)
    return _ranked(pd.DataFrame(rows).drop(columns="experiment")) if rows else pd.DataFrame()


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    """The table in order, with ranks of the methods and gains over the untrained backbone."""
    is_method = table["control"] == ""
    score = table.groupby(METHOD_KEYS, sort=False)["mean"].transform(lambda means: means.iloc[0])
    rank = score.where(is_method & (table["n"] == table["planned"]))
    untrained = table[table["loss"] == UNTRAINED].set_index(["recipe", "metric"])["mean"]
    base = untrained.reindex(pd.MultiIndex.from_frame(table[["recipe", "metric"]])).to_numpy()
    table = table.assign(
        rank=rank.rank(method="dense", ascending=False),
        gain=(table["mean"] - base).where(is_method),
        score=score,
    )
    return table.sort_values("score", ascending=False, kind="stable").drop(columns="score")


def leaderboard_tables(long: pd.DataFrame, foot: str) -> list[Table]:
    """One table for each dataset; the recipe is named where methods have several.

    Args:
        long: What :func:`leaderboard` gave.
        foot: The end of each table's notes.
    """
    return [_table(mine, foot) for _, mine in long.groupby("dataset", sort=False)]


def _table(mine: pd.DataFrame, foot: str) -> Table:
    several = mine.loc[mine["control"] == "", "recipe"].nunique() > 1
    rows = []
    for _, found in mine.groupby(METHOD_KEYS, sort=False):
        first, *_ = cells = found.to_dict("records")
        row = {"": first["method"], "rank": Cell(first["rank"], decimals=0)}
        if several:
            row["recipe"] = first["recipe"].removesuffix(SHUFFLED)
        for one in cells:
            cell = Cell(one["mean"], one["half_width"], note=count(one["n"], one["planned"]))
            row[names.measure(one["metric"], one["k"]).label] = cell
        rows.append(row | {"gain": Cell(first["gain"])})
    dataset, subset, label, *metric = mine.iloc[0][["dataset", "subset", "label", *_METRIC]]
    notes = (
        "Percent ± half of the 95% t-interval, last epoch. Gain: points of "
        f"{names.measure(*metric).label} over the untrained backbone of the same recipe. Controls "
        f"have no rank. {foot}"
    )
    title = f"Leaderboard of {dataset}: {names.part('test', subset, label)}"
    return Table(title, notes, f"leaderboard-{dataset}", {"": pd.DataFrame(rows).set_index("")})
