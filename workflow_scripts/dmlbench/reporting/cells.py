"""The table of an experiment in long form, one row for each cell: what all formats print."""

import itertools

import numpy as np
import pandas as pd

from dmlbench.checking.results import SIZES
from dmlbench.config import METHOD_KEYS, Plan
from dmlbench.errors import DataError
from dmlbench.evaluation.metric import find_measure
from dmlbench.reporting.formats import Cell
from dmlbench.reporting.matching import published_rows
from dmlbench.reporting.names import lines_of
from dmlbench.reporting.statistics import NO_SEEDS, summarize, supported_best

#: What tells the blocks of a printed table apart, and the columns of a block.
BLOCK = ["selection", "split", "subset", "label"]
COLUMN = ["metric", "k"]
#: The columns of :func:`cells`.
_CELLS = [
    "method", *METHOD_KEYS, "control", "planned", "pretraining", *BLOCK, *COLUMN, "mean", "sd",
    "half_width", "n", "collapsed", "published", "difference", "covered", "source", "best",
]  # fmt: skip
#: The first columns of a table, in their order; other metrics follow.
_FIRST = ("recall", "r_precision", "map_at_r", "nmi", "nmi_plus")


def cells(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """The experiment's table in long form: one row for each cell, percentages.

    Columns: selection, split, subset, label, metric, k; method (in words), recipe, loss, sampler,
    control (its kind, empty for a method), pretraining; mean, sd, half_width (of the 95%
    t-interval), n and planned (seeds), collapsed (how many of n); published (number), difference
    (mean - published), covered (whether the interval holds the published number), source; best
    (whether tests support that it is the best), and :data:`SIZES` of the part.

    No rows where no run is finished and the config says partial.

    Raises:
        DataError: No run of the experiment is finished, and it does not.
    """
    mine = table_values(plan, experiment, metrics)
    if mine.empty and plan.benchmark.partial:
        return pd.DataFrame(columns=_CELLS)
    if mine.empty:
        raise DataError(f"{experiment}: none of its runs is finished; run the pipeline first")
    table = over_lines(plan, experiment, mine)
    return _with_sizes(_with_best(_with_published(plan, experiment, table), mine), mine)


def over_lines(plan: Plan, experiment: str, mine: pd.DataFrame) -> pd.DataFrame:
    """Values over seeds: a row for each line of the experiment's table, block and metric of theirs.

    Columns: those of :func:`lines_of`, of :data:`BLOCK` and :data:`COLUMN`; mean, sd, half_width,
    n; and collapsed, how many of the n have all embeddings on one point.
    """
    keys = mine[[*BLOCK, *COLUMN]].drop_duplicates()
    table = pd.DataFrame(lines_of(plan, experiment)).merge(keys, how="cross")
    # Controls without a training have the same embeddings for every selection.
    untrained = table["loss"].isin(plan.not_trained)
    stored = table.assign(selection=table["selection"].mask(untrained, plan.control_selection))
    by = [*METHOD_KEYS, *BLOCK, *COLUMN]
    points = mine.groupby(by)["collapsed"].sum() if "collapsed" in mine else pd.Series(dtype=int)
    keys = stored[by].itertuples(index=False, name=None)
    found = [int(points.get(key, 0)) for key in keys]
    return table.join(summaries(stored, mine, by)).assign(collapsed=found)


def values_of(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """The collected values of the experiment's runs, controls included, as they are stored."""
    dataset = plan.benchmark.experiments[experiment].dataset
    methods = pd.DataFrame(lines_of(plan, experiment))[METHOD_KEYS]
    return metrics[(metrics["dataset"] == dataset) & metrics["value"].notna()].merge(methods)


def table_values(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """The collected values that the experiment's table prints, controls included; in percent."""
    mine = values_of(plan, experiment, metrics)
    known = {name: find_measure(name) for name in mine["metric"].unique()}
    printed = [name for name, found in known.items() if found and found.printed]
    mine = mine[mine["metric"].isin(printed)]
    place = {name: number for number, name in enumerate(_FIRST)}
    places = mine["metric"].map(place).fillna(len(place))
    mine = mine.assign(place=places).sort_values(["place", "k"]).drop(columns="place")
    return mine.assign(value=mine["value"] * [known[name].scale for name in mine["metric"]])


def summaries(rows: pd.DataFrame, values: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """mean, sd, half_width and n of ``values`` over seeds for each of ``rows``, told by ``by``."""
    found = {key: vars(summarize(seeds)) for key, seeds in values.groupby(by)["value"]}
    keys = rows[by].itertuples(index=False, name=None)
    return pd.DataFrame([found.get(key, vars(NO_SEEDS)) for key in keys], index=rows.index)


def rows_where(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows of a table that have these values in the columns of these names."""
    return table[(table[list(values)] == pd.Series(values)).all(axis=1)]


def by_seed(group: pd.DataFrame) -> pd.DataFrame:
    """The values of one column of a block: seeds x methods."""
    return group.pivot(index="seed", columns=METHOD_KEYS, values="value")


def stored_name(metric: str, k: int) -> str:
    """A metric as published tables call it, such as ``recall@1``."""
    return f"recall@{k}" if metric == "recall" else metric


def _with_published(plan: Plan, experiment: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the first published number for each cell, and how ours compares."""
    found: dict[tuple, tuple[float, str]] = {}
    for selection, *part in table[BLOCK].drop_duplicates().itertuples(index=False, name=None):
        for row in published_rows(plan, experiment, tuple(part)):
            for method, metric in itertools.product(row.same, row.numbers):
                told = row.numbers[metric], row.table.source
                if row.of(selection):
                    found.setdefault((selection, *part, *method, metric), told)
    where = table[[*BLOCK, *METHOD_KEYS]]
    where = where.assign(metric=list(map(stored_name, table["metric"], table["k"])))
    told = [found.get(key, (np.nan, "")) for key in where.itertuples(index=False, name=None)]
    value, source = (pd.Series(some) for some in zip(*told, strict=True))
    difference = table["mean"] - value
    covered = (difference.abs() <= table["half_width"]).astype(object)
    covered = covered.where((difference + table["half_width"]).notna())
    return table.assign(published=value, difference=difference, covered=covered, source=source)


def _with_best(table: pd.DataFrame, mine: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``best``: methods only, and only where all have the same seeds."""
    methods = table[table["control"] == ""]
    values = mine.merge(methods[METHOD_KEYS].drop_duplicates())
    wanted = methods["method"].nunique()
    best = []
    for block, rows in values.groupby(BLOCK, sort=False):
        columns = dict(list(rows.groupby(COLUMN, sort=False)))
        complete = []
        for key, column in columns.items():
            seeds = by_seed(column) * (1 if find_measure(*key).higher else -1)
            complete.append(seeds if seeds.shape[1] == wanted else seeds.iloc[:0])
        winners = zip(columns, supported_best(complete), strict=True)
        best += [(*block, *key, *winner) for key, winner in winners if winner is not None]
    keys = pd.MultiIndex.from_frame(table[[*BLOCK, *COLUMN, *METHOD_KEYS]])
    return table.assign(best=keys.isin(best) if best else False)


def _with_sizes(table: pd.DataFrame, mine: pd.DataFrame) -> pd.DataFrame:
    """The table with :data:`SIZES` of each part; results of before 1.2 do not have all."""
    if not set(SIZES) <= set(mine) or mine[SIZES[0]].isna().all():
        return table
    sizes = mine[[*BLOCK[1:], *SIZES]].drop_duplicates(BLOCK[1:])
    sizes = sizes.astype(dict.fromkeys(SIZES, "Int64"))  # counts, absent for other parts
    return table.merge(sizes, how="left", on=BLOCK[1:])


def printed_cells(block: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`cells` as a printed block: methods down, controls below, metrics across."""
    heads = [find_measure(*key).label for key in zip(block["metric"], block["k"], strict=True)]
    shown = []
    for row in block.to_dict("records"):
        decimals, note = find_measure(row["metric"]).decimals, count(row["n"], row["planned"])
        note = " ".join(filter(None, (note, _collapsed(row["collapsed"], row["n"]))))
        outside = pd.notna(row["covered"]) and not row["covered"]
        about = row["mean"], row["half_width"], decimals, bool(row["best"]), note, row["published"]
        shown.append(Cell(*about, outside))
    table = block.assign(cell=shown, head=heads)
    table = table.pivot(index="method", columns="head", values="cell")
    order = list(dict.fromkeys(block["method"])), list(dict.fromkeys(heads))
    return table.loc[order].rename_axis(columns=None)


def count(n: float, planned: float) -> str:
    """``(2/3)`` where seeds are missing, else nothing."""
    return f"({n:.0f}/{planned:.0f})" if n < planned else ""


def _collapsed(number: int, n: int) -> str:
    """``(2/3 collapsed)`` where the embeddings of some runs lie on one point, else nothing."""
    share = f"{number}/{n} " if number < n else ""
    return f"({share}collapsed)" if number else ""


def more_data(table: pd.DataFrame) -> list[str]:
    """What the marked rows of a table were pre-trained on, which is more than ImageNet-1k."""
    return [data for data in table["pretraining"].unique() if data not in ("", "imagenet1k")]
