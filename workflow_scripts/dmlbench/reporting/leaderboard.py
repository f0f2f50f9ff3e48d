"""The leaderboard: everything that ran on a dataset, in the order of its first test measure."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dmlbench.config import SHUFFLED, UNTRAINED, Plan
from dmlbench.reporting import names
from dmlbench.reporting.cells import METHOD
from dmlbench.reporting.latex_parts import Block, Number, Table
from dmlbench.reporting.statistics import Summary, summarize

_SHOWN = ("recall", "map_at_r", "nmi")


def leaderboard(plan: Plan, metrics: pd.DataFrame) -> pd.DataFrame:
    """A row for each dataset, method or control, and metric of the dataset's first test part.

    Columns: dataset, subset, label, rank, method (in words), recipe, loss, sampler, control,
    metric, mean, half_width, n, planned, gain (over the untrained backbone). Percent, of the
    weights that controls are shown with (the last epoch). A method that lacks a seed has no rank.
    """
    parts = [_of_dataset(plan, dataset, metrics) for dataset in plan.datasets]
    return pd.concat(parts, ignore_index=True)


def _of_dataset(plan: Plan, dataset: str, metrics: pd.DataFrame) -> pd.DataFrame:
    _, subset, label = plan.facts(dataset).first_test()
    mine = metrics[
        (metrics["dataset"] == dataset)
        & (metrics["split"] == "test")
        & (metrics["subset"] == subset)
        & (metrics["label"] == label)
        & (metrics["selection"] == plan.control_selection)
        & metrics["metric"].isin(_SHOWN)
    ]
    first = min(plan.benchmark.evaluation.recall_at)
    mine = mine[(mine["metric"] != "recall") | (mine["k"] == first)]
    groups = dict(list(mine.groupby([*METHOD, "metric"], sort=False)))
    shown = set(mine["metric"])
    rows = []
    for method, words, control, planned in _competitors(plan, dataset):
        for metric in _SHOWN:
            found = groups.get((*method, metric))
            if metric not in shown:
                continue
            values = [] if found is None else 100 * found["value"].to_numpy()
            summary = summarize(values) if len(values) else Summary(float("nan"), None, None, 0)
            rows.append(
                {"dataset": dataset, "subset": subset, "label": label, "method": words}
                | dict(zip(METHOD, method, strict=True))
                | {"control": control, "metric": metric, "k": first if metric == "recall" else 0}
                | {"mean": summary.mean, "half_width": summary.half_width}
                | {"n": summary.n, "planned": planned}
            )
    return _ranked(pd.DataFrame(rows))


def _competitors(plan: Plan, dataset: str) -> Iterator[tuple[tuple, str, str, int]]:
    """Every method and control of a dataset once: names, words, the control's kind, seeds."""
    seen: set[tuple] = set()
    experiments = [n for n, e in plan.benchmark.experiments.items() if e.dataset == dataset]
    for experiment in experiments:
        for method, words in names.methods(plan, experiment).items():
            if method not in seen:
                yield method, words, "", len(plan.benchmark.seeds)
            seen.add(method)
    for experiment in experiments:
        for kind, run in plan.controls[experiment].items():
            method = (run.recipe, run.loss, run.sampler)
            if method not in seen:
                yield method, names.control(kind), kind, 1
            seen.add(method)


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    """The table in order, with ranks of the methods and gains over the untrained backbone."""
    if table.empty:
        return table
    keys = pd.Series(list(zip(*(table[n] for n in METHOD), strict=True)), table.index)
    first = table["metric"] == table["metric"].iloc[0]
    scores = pd.Series(table.loc[first, "mean"].to_numpy(), keys[first])
    ranked = first & (table["control"] == "") & (table["n"] == table["planned"])
    ranks = pd.Series(table.loc[ranked, "mean"].to_numpy(), keys[ranked]).rank(ascending=False)
    untrained = table[table["loss"] == UNTRAINED].set_index(["recipe", "metric"])["mean"]
    where = pd.MultiIndex.from_frame(table[["recipe", "metric"]])
    gain = table["mean"].to_numpy() - untrained.reindex(where).to_numpy()
    gain = np.where(table["control"] == "", gain, np.nan)
    table = table.assign(rank=keys.map(ranks), gain=gain, score=keys.map(scores))
    return table.sort_values("score", ascending=False, kind="stable").drop(columns="score")


def leaderboard_tables(long: pd.DataFrame, foot: str) -> list[Table]:
    """One table for each dataset; recipes are named where methods have several.

    Args:
        long: What :func:`leaderboard` gave.
        foot: The end of each caption.
    """
    tables = []
    for dataset, mine in long.groupby("dataset", sort=False):
        metrics = list(dict.fromkeys(zip(mine["metric"], mine["k"], strict=True)))
        recipes = mine.loc[mine["control"] == "", "recipe"].nunique() > 1
        rows = []
        for _, found in mine.groupby(METHOD, sort=False):
            cells = {one["metric"]: one for one in found.to_dict("records")}
            first = cells[metrics[0][0]]
            recipe = [first["recipe"].removesuffix(SHUFFLED)] if recipes else []
            numbers = [_number(cells.get(metric)) for metric, _ in metrics]
            rank, gain = Number(first["rank"], decimals=0), Number(first["gain"])
            rows.append((first["method"], [rank, *recipe, *numbers, gain]))
        where = names.part("test", mine["subset"].iloc[0], mine["label"].iloc[0])
        caption = (
            f"Percent ± half of the 95% t-interval, last epoch. Gain: over the untrained "
            f"backbone of the same recipe, in points of {names.metric(*metrics[0])}. Controls have "
            f"no rank. {foot}"
        )
        title = f"Leaderboard of {dataset}: {where}"
        shown = [names.metric(*metric) for metric in metrics]
        head = ["rank", *(["recipe"] if recipes else []), *shown, "gain"]
        tables.append(Table(title, caption, f"leaderboard-{dataset}", head, [Block("", rows)]))
    return tables


def _number(cell: dict | None) -> Number:
    if cell is None:
        return Number(float("nan"))
    partial = f" ({cell['n']}/{cell['planned']})" if cell["n"] < cell["planned"] else ""
    return Number(cell["mean"], cell["half_width"], note=partial)
