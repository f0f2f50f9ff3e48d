"""The table of an experiment in long form, one row for each cell: what all formats print."""

import numpy as np
import pandas as pd

from dmlbench.config import METHOD_KEYS, RANDOM, UNTRAINED, Plan
from dmlbench.errors import DataError
from dmlbench.evaluation.metric import find_measure
from dmlbench.reporting.formats import Cell
from dmlbench.reporting.names import lines_of, measure
from dmlbench.reporting.published import published_rows
from dmlbench.reporting.statistics import NO_SEEDS, summarize, supported_best

#: What tells the blocks of a printed table apart, and the columns of a block.
BLOCK = ["selection", "split", "subset", "label"]
COLUMN = ["metric", "k"]
#: The first columns of a table, in their order; other metrics follow.
_FIRST = ("recall", "r_precision", "map_at_r", "nmi", "nmi_plus")


def cells(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """The experiment's table in long form: one row for each cell, percentages.

    Columns: selection, split, subset, label, metric, k; method (in words), recipe, loss, sampler,
    control (its kind, empty for a method); mean, sd, half_width (of the 95% t-interval), n and
    planned (seeds); published (number), difference (mean - published), covered (whether the
    interval holds the published number), source; best (whether tests support that it is the best).

    Raises:
        DataError: No run of the experiment is finished.
    """
    mine = table_values(plan, experiment, metrics)
    if mine.empty:
        raise DataError(f"{experiment}: none of its runs is finished; run the pipeline first")
    keys = mine[[*BLOCK, *COLUMN]].drop_duplicates()
    seeds = mine.groupby([*METHOD_KEYS, *BLOCK, *COLUMN], sort=False)["value"].agg(list).to_dict()
    published = _published(plan, experiment, keys[BLOCK[1:]].drop_duplicates())
    rows = []
    for line in lines_of(plan, experiment):
        # Controls without a training have the same embeddings for every selection.
        untrained = line["loss"] in (RANDOM, UNTRAINED)
        same = {"selection": plan.control_selection} if untrained else {}
        for key in keys.to_dict("records"):
            where = line | key | same
            values = seeds.get(tuple(where[name] for name in [*METHOD_KEYS, *BLOCK, *COLUMN]))
            row = line | key | vars(summarize(values) if values else NO_SEEDS)
            rows.append(row | _against(row, published))
    return _with_best(pd.DataFrame(rows), mine)


def table_values(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """The collected values that the experiment's table prints, controls included; in percent."""
    dataset = plan.benchmark.experiments[experiment].dataset
    methods = pd.DataFrame(lines_of(plan, experiment))[METHOD_KEYS]
    mine = metrics[(metrics["dataset"] == dataset) & metrics["value"].notna()].merge(methods)
    asked = mine[["subset", "metric"]].drop_duplicates()
    pairs = plan.facts(dataset).pairs
    known = [find_measure(m, of_pairs=subset in pairs) for subset, m in asked.to_numpy()]
    mine = mine.merge(asked[[found is not None and found.printed for found in known]])
    place = {name: number for number, name in enumerate(_FIRST)}
    places = mine["metric"].map(place).fillna(len(place))
    mine = mine.assign(place=places).sort_values(["place", "k"]).drop(columns="place")
    scales = {name: measure(name).scale for name in mine["metric"].unique()}
    return mine.assign(value=mine["value"] * mine["metric"].map(scales))


def rows_where(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows of a table that have these values in the columns of these names."""
    return table[(table[list(values)] == pd.Series(values)).all(axis=1)]


def by_seed(group: pd.DataFrame) -> pd.DataFrame:
    """The values of one column of a block: seeds x methods."""
    return group.pivot(index="seed", columns=METHOD_KEYS, values="value")


def stored_name(metric: str, k: int) -> str:
    """A metric as published tables call it, such as ``recall@1``."""
    return f"recall@{k}" if metric == "recall" else metric


def _published(plan: Plan, experiment: str, parts: pd.DataFrame) -> dict[tuple, tuple[float, str]]:
    """The first published number, and its source, of each part, method and metric."""
    found = {}
    for part in parts.itertuples(index=False, name=None):
        for table, _, values, methods in published_rows(plan, experiment, part):
            for method in methods:
                for metric, value in values.items():
                    found.setdefault((*part, *method, metric), (value, table.source))
    return found


def _against(row: dict, published: dict[tuple, tuple[float, str]]) -> dict:
    """The published number for a cell, and how ours compares."""
    where = tuple(row[name] for name in [*BLOCK[1:], *METHOD_KEYS])
    value, source = published.get((*where, stored_name(row["metric"], row["k"])), (np.nan, ""))
    difference, half = row["mean"] - value, row["half_width"]
    covered = None if half is None or not source else abs(difference) <= half
    return {"published": value, "difference": difference, "covered": covered, "source": source}


def _with_best(table: pd.DataFrame, mine: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``best``: methods only, and only where all have the same seeds."""
    methods = table[table["control"] == ""]
    values = mine.merge(methods[METHOD_KEYS].drop_duplicates())
    wanted = methods["method"].nunique()
    best = []
    for block, rows in values.groupby(BLOCK, sort=False):
        columns = dict(list(rows.groupby(COLUMN, sort=False)))
        seeds = [by_seed(c) * (1 if measure(*key).higher else -1) for key, c in columns.items()]
        complete = [s if s.shape[1] == wanted else s.iloc[:0] for s in seeds]
        winners = zip(columns, supported_best(complete), strict=True)
        best += [(*block, *key, *winner) for key, winner in winners if winner is not None]
    keys = pd.MultiIndex.from_frame(table[[*BLOCK, *COLUMN, *METHOD_KEYS]])
    return table.assign(best=keys.isin(best) if best else False)


def printed_cells(block: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`cells` as a printed block: methods down, controls below, metrics across."""
    heads = [measure(*key).label for key in zip(block["metric"], block["k"], strict=True)]
    table = block.assign(cell=[_cell(row) for row in block.to_dict("records")], head=heads)
    table = table.pivot(index="method", columns="head", values="cell")
    order = list(dict.fromkeys(block["method"])), list(dict.fromkeys(heads))
    return table.loc[order].rename_axis(columns=None)


def _cell(row: dict) -> Cell:
    decimals = measure(row["metric"], int(row["k"])).decimals
    cell = Cell(row["mean"], row["half_width"], decimals, bool(row["best"]))
    outside = not pd.isna(row["covered"]) and not row["covered"]
    note = count(row["n"], row["planned"])
    return cell._replace(note=note, published=row["published"], outside=outside)


def count(n: float, planned: float) -> str:
    """``(2/3)`` where seeds are missing, else nothing."""
    return f"({n:.0f}/{planned:.0f})" if n < planned else ""
