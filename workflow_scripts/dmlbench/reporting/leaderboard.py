"""The leaderboard: everything that ran on a dataset, in the order of its first test metric."""

from collections.abc import Iterator

import pandas as pd

from dmlbench.config import METHOD_KEYS, SHUFFLED, UNTRAINED, Plan
from dmlbench.reporting import names
from dmlbench.reporting.cells import count, rows_where
from dmlbench.reporting.formats import Cell, Table
from dmlbench.reporting.statistics import NO_SEEDS, Summary, summarize

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
    where = {"split": "test", "subset": subset, "label": label}
    where["selection"] = plan.control_selection
    mine = rows_where(metrics, dataset=dataset, **where)
    first = min(plan.benchmark.evaluation.recall_at)
    values = mine.groupby([*METHOD_KEYS, "metric", "k"])["value"].agg(list)
    # NMI's k is a number of clusters: one for each part.
    kinds = {(metric, k) for *_, metric, k in values.index if metric != "recall" or k == first}
    kinds = sorted((c for c in kinds if c[0] in _SHOWN), key=lambda c: _SHOWN.index(c[0]))
    rows = [
        {"dataset": dataset, "subset": subset, "label": label, "method": words}
        | dict(zip([*METHOD_KEYS, "control", *_METRIC], (*method, control, *kind), strict=True))
        | vars(_percent(values.get((*method, *kind))))
        | {"planned": planned}
        for method, words, control, planned in _competitors(plan, dataset)
        for kind in kinds
    ]
    return _ranked(pd.DataFrame(rows)) if rows else pd.DataFrame()


def _percent(values: list[float] | None) -> Summary:
    return summarize([100 * value for value in values]) if values else NO_SEEDS


def _competitors(plan: Plan, dataset: str) -> Iterator[tuple[tuple, str, str, int]]:
    """Every method and control of a dataset once: names, words, the control's kind, seeds."""
    seen: dict[tuple, tuple] = {}
    experiments = [n for n, e in plan.benchmark.experiments.items() if e.dataset == dataset]
    for experiment in experiments:
        for method, words in names.methods(plan, experiment).items():
            seen.setdefault(method, (method, words, "", len(plan.benchmark.seeds)))
    for experiment in experiments:
        for kind, run in plan.controls[experiment].items():
            method = run.method
            seen.setdefault(method, (method, names.control(kind), kind, 1))
    yield from seen.values()


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
            note = count(one["n"], one["planned"])
            cell = Cell(one["mean"], one["half_width"], note=note)
            row[names.metric(one["metric"], one["k"])] = cell
        rows.append(row | {"gain": Cell(first["gain"])})
    dataset, subset, label, *metric = mine.iloc[0][["dataset", "subset", "label", *_METRIC]]
    notes = (
        "Percent ± half of the 95% t-interval, last epoch. Gain: points of "
        f"{names.metric(*metric)} over the untrained backbone of the same recipe. Controls have no "
        f"rank. {foot}"
    )
    title = f"Leaderboard of {dataset}: {names.part('test', subset, label)}"
    return Table(title, notes, f"leaderboard-{dataset}", {"": pd.DataFrame(rows).set_index("")})
