"""The cells of an experiment's table in long form: what all its formats are printed from."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.reporting import names
from dmlbench.reporting.comparisons import supported_best
from dmlbench.reporting.measures import is_printed, measure
from dmlbench.reporting.published.read import Published, published_of, published_value
from dmlbench.reporting.statistics import summarize

#: What a block of rows of a printed table is, and a column of it.
BLOCK = ["selection", "split", "subset", "label"]
COLUMN = ["metric", "k"]
METHOD = ["recipe", "loss", "sampler"]


def cells(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """The experiment's table in long form: one row for each cell, percentages.

    Columns: selection, split, subset, label, metric, k; method (in words), recipe, loss, sampler,
    control (its kind, empty of a method); mean, sd, half_width (of the 95% t-interval), n and
    planned (seeds); best (whether tests support that no other method is as good);
    published, difference (mean - published), covered (whether the interval holds the published
    number), source (of the published number).

    Raises:
        DataError: A method lacks a planned seed, and the config does not say partial.
    """
    mine = table_values(plan, experiment, metrics)
    keys = list(mine.groupby([*BLOCK, *COLUMN], sort=False).groups)
    if not keys:
        raise DataError(f"{experiment}: none of its runs is finished; run the pipeline first")
    groups = dict(list(mine.groupby([*METHOD, *BLOCK, *COLUMN], sort=False)))
    tables = published_of(plan, experiment)
    rows = []
    for method, words, control, seeds in _lines(plan, experiment):
        for key in keys:
            found = groups.get((*method, *_stored(plan, control, key)))
            row = dict(zip([*BLOCK, *COLUMN], key, strict=True))
            row |= {"method": words, **dict(zip(METHOD, method, strict=True)), "control": control}
            row |= _summary(plan, experiment, row, found, seeds)
            if not control:
                row |= _published(tables, plan, experiment, row)
            rows.append(row)
    table = pd.DataFrame(rows)
    for column in ("published", "difference"):
        table[column] = pd.to_numeric(table.get(column, pd.Series(np.nan, table.index)))
    return _with_best(table, mine)


def by_method(group: pd.DataFrame) -> dict[tuple[str, str, str], dict[int, float]]:
    """Values of one block and column: of each method those of its seeds."""
    found: dict[tuple, dict[int, float]] = {}
    columns = [group[name].tolist() for name in [*METHOD, "seed", "value"]]
    for recipe, loss, sampler, seed, value in zip(*columns, strict=True):
        found.setdefault((recipe, loss, sampler), {})[seed] = value
    return found


def table_values(plan: Plan, experiment: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """What the experiment's table prints of the collected metrics, its controls included."""
    dataset = plan.benchmark.experiments[experiment].dataset
    wanted = {*plan.methods[experiment], *(_method(r) for r in plan.controls[experiment].values())}
    mine = metrics[(metrics["dataset"] == dataset) & metrics["value"].notna()]
    mine = mine[pd.MultiIndex.from_frame(mine[METHOD]).isin(wanted)]
    printed = {
        pair: is_printed(plan, dataset, *pair)
        for pair in set(zip(mine["subset"], mine["metric"], strict=True))
    }
    keep = [printed[pair] for pair in zip(mine["subset"], mine["metric"], strict=True)]
    mine = mine[keep]
    scales = {m: measure(m).scale for m in mine["metric"].unique()}
    return mine.assign(value=mine["value"] * mine["metric"].map(scales))


def _method(run: Run) -> tuple[str, str, str]:
    return run.recipe, run.loss, run.sampler


def _lines(plan: Plan, experiment: str) -> Iterator[tuple[tuple, str, str, list[int]]]:
    """Every row of the table: method, its words, the control's kind, the seeds planned."""
    for method, words in names.methods(plan, experiment).items():
        yield method, words, "", plan.benchmark.seeds
    for kind, run in plan.controls[experiment].items():
        yield _method(run), names.control(kind), kind, [run.seed]


def _stored(plan: Plan, control: str, key: tuple) -> tuple:
    """What stands in a cell's place: of a control without training every selection is the same."""
    return key if control in ("", "shuffled") else (plan.control_selection, *key[1:])


def _summary(
    plan: Plan, experiment: str, row: dict, found: pd.DataFrame | None, seeds: list[int]
) -> dict:
    there = sorted(found["seed"]) if found is not None else []
    if there != sorted(seeds) and not plan.benchmark.partial:
        raise DataError(
            f"{experiment}: {row['method']} has seeds {there} of {sorted(seeds)} for "
            f"{row['selection']} {row['split']} {row['subset']} {row['metric']}@{row['k']}; run "
            "the pipeline to the end, or set partial: true to print k/n"
        )
    planned = {"planned": len(seeds)}
    if found is None:
        return {"mean": np.nan, "sd": None, "half_width": None, "n": 0, **planned}
    return vars(summarize(found["value"].to_numpy())) | planned


def _published(tables: list[Published], plan: Plan, experiment: str, row: dict) -> dict:
    """The first published number for a cell, and how ours compares."""
    metric = f"recall@{row['k']}" if row["metric"] == "recall" else row["metric"]
    dataset = plan.benchmark.experiments[experiment].dataset
    part = (dataset, row["split"], row["subset"], row["label"])
    method = tuple(row[name] for name in METHOD)
    for table in tables:
        value = published_value(table, plan, method, part, metric)
        if value is not None:
            difference, half = row["mean"] - value, row["half_width"]
            covered = None if half is None or np.isnan(difference) else abs(difference) <= half
            found = {"published": value, "difference": difference, "covered": covered}
            return found | {"source": table.source}
    return {"published": np.nan, "difference": np.nan, "covered": None, "source": ""}


def _with_best(table: pd.DataFrame, mine: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``best``; methods only, and only where all have the same seeds."""
    best = pd.Series(False, table.index)
    groups = dict(list(mine.groupby([*BLOCK, *COLUMN], sort=False)))
    methods = table[table["control"] == ""]
    for _, block in methods.groupby(BLOCK, sort=False):
        columns = list(block.groupby(COLUMN, sort=False))
        values = []
        for _, rows in columns:
            first = rows.iloc[0]
            key = tuple(first[name] for name in [*BLOCK, *COLUMN])
            found = by_method(groups[key])
            methods_of = list(zip(*(rows[name] for name in METHOD), strict=True))
            seeds = sorted(set().union(*(found.get(m, {}) for m in methods_of)))
            matrix = [[found.get(m, {}).get(s, np.nan) for m in methods_of] for s in seeds]
            values.append(np.array(matrix) * (1 if measure(*key[-2:]).higher else -1))
        for (_, rows), winner in zip(columns, supported_best(values), strict=True):
            if winner is not None:
                best[rows.index[winner]] = True
    return table.assign(best=best)
