"""The tables over all experiments: the leaderboard of each dataset, and the cost of training."""

import pandas as pd

from dmlbench.config import METHOD_KEYS, RUN_KEYS, SHUFFLED, UNTRAINED, Plan
from dmlbench.evaluation.metric import find_measure
from dmlbench.reporting import names
from dmlbench.reporting.cells import COLUMN, count, more_data, rows_where, summaries
from dmlbench.reporting.formats import Cell, Table, render_notes
from dmlbench.reporting.statistics import summarize

_SHOWN = ("recall", "map_at_r", "nmi")
_METHOD = ["dataset", *METHOD_KEYS]


def leaderboard(plan: Plan, metrics: pd.DataFrame) -> pd.DataFrame:
    """A row for each dataset, method or control, and metric of the dataset's first test part.

    Columns: dataset, subset, label, method (in words), recipe, loss, sampler, control, planned,
    pretraining, metric, k, mean, sd, half_width, n, rank, gain (over the untrained backbone of its
    recipe). Percent, with the weights of the selection that controls have (the last epoch). A
    method that lacks a seed has no rank.
    """
    # Each method and control once, whatever experiments it is in; methods first.
    lines = pd.DataFrame(names.lines(plan)).drop(columns="experiment")
    lines = lines.sort_values("control", kind="stable").drop_duplicates(_METHOD)
    # NMI's k is a number of clusters: one for each part.
    first = (metrics["metric"] != "recall") | (
        metrics["k"] == min(plan.benchmark.evaluation.recall_at)
    )
    shown = metrics[metrics["metric"].isin(_SHOWN) & first & metrics["value"].notna()]
    shown = shown.assign(value=100 * shown["value"])
    boards = [pd.DataFrame()]
    for dataset in plan.datasets:
        _, subset, label = plan.facts(dataset).first_test()
        part = {"dataset": dataset, "subset": subset, "label": label}
        mine = rows_where(shown, split="test", selection=plan.control_selection, **part)
        if mine.empty:  # only the training was measured, or only by other metrics
            continue
        kinds = mine[COLUMN].drop_duplicates()
        kinds = kinds.sort_values("metric", key=lambda metric: metric.map(_SHOWN.index))
        rows = pd.DataFrame([part]).merge(lines, on="dataset").merge(kinds, how="cross")
        boards.append(_ranked(rows.join(summaries(rows, mine, [*METHOD_KEYS, *COLUMN]))))
    return pd.concat(boards, ignore_index=True)


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


def board_table(mine: pd.DataFrame, partial: str) -> Table:
    """The part of a :func:`leaderboard` for one dataset; ``partial`` says which runs lack."""
    # The recipe is named where methods have several.
    several = mine.loc[mine["control"] == "", "recipe"].nunique() > 1
    rows = []
    for _, found in mine.groupby(METHOD_KEYS, sort=False):
        first, *_ = cells = found.to_dict("records")
        row = {"": first["method"], "rank": Cell(first["rank"], decimals=0)}
        if several:
            row["recipe"] = first["recipe"].removesuffix(SHUFFLED)
        for one in cells:
            cell = Cell(one["mean"], one["half_width"], note=count(one["n"], one["planned"]))
            row[find_measure(one["metric"], one["k"]).label] = cell
        rows.append(row | {"gain": Cell(first["gain"])})
    dataset, subset, label, *metric = mine.iloc[0][["dataset", "subset", "label", *COLUMN]]
    words = find_measure(*metric).label
    more = more_data(mine)
    notes = render_notes("leaderboard.txt.j2", metric=words, partial=partial, more_data=more)
    title = f"Leaderboard of {dataset}: {names.part('test', subset, label)}"
    return Table(title, notes, f"leaderboard-{dataset}", {"": pd.DataFrame(rows).set_index("")})


def cost(plan: Plan, history: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each experiment, method and device.

    Columns: experiment, dataset, method (in words), recipe, loss, sampler, device, runs, planned,
    hours (of all its runs together), epoch_seconds and epoch_half_width (mean and 95% t-interval
    over runs, of each run's mean without its first epoch, which also fills caches), host_mb and
    gpu_mb (the most of any run). A method without runs has one row, without numbers.
    """
    epochs = history[["epoch", "seconds", *RUN_KEYS]]
    if epochs["epoch"].max() > 1:
        epochs = epochs[epochs["epoch"] > 1]
    per_run = epochs.groupby(RUN_KEYS, sort=False)["seconds"].mean().rename("epoch_seconds")
    by = runs.merge(per_run.reset_index(), on=RUN_KEYS).groupby([*_METHOD, "device"], sort=False)
    found = by.agg(
        runs=("seconds", "size"),
        hours=("seconds", lambda seconds: seconds.sum() / 3600),
        epoch_seconds=("epoch_seconds", "mean"),
        epoch_half_width=("epoch_seconds", lambda seconds: summarize(seconds).half_width),
        host_mb=("peak_host_mb", "max"),
        gpu_mb=("peak_gpu_mb", "max"),
    )
    methods = pd.DataFrame(names.lines(plan)).query("control == ''").drop(columns="control")
    table = methods.merge(found.reset_index(), how="left", on=_METHOD)
    return table.fillna({"device": "not run", "runs": 0}).astype({"runs": int})


def cost_table(long: pd.DataFrame, partial: str) -> Table:
    """A block for each experiment and device; ``partial`` says which runs lack."""
    blocks = {}
    for (experiment, device), mine in long.groupby(["experiment", "device"], sort=False):
        rows = {}
        for one in mine.itertuples():
            note = f"of {one.planned}" if one.runs < one.planned else ""
            rows[one.method] = {
                "runs": Cell(one.runs, decimals=0, note=note),
                "hours": Cell(one.hours, decimals=2),
                "s/epoch": Cell(one.epoch_seconds, one.epoch_half_width, decimals=2),
                "memory (MB)": Cell(one.host_mb, decimals=0),
                "GPU (MB)": Cell(one.gpu_mb, decimals=0),
            }
        blocks[f"{experiment}, {device}"] = pd.DataFrame.from_dict(rows, orient="index")
    once = long[long["runs"] > 0].drop_duplicates([*_METHOD, "device"])
    sums = once.groupby("device")["hours"].sum()
    total = ", ".join(f"{hours:.2f} hours on {device}" for device, hours in sums.items())
    more = more_data(long)
    notes = render_notes("cost.txt.j2", total=total, partial=partial, more_data=more)
    return Table("Cost of training", notes, "cost", blocks)
