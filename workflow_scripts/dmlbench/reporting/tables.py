"""All tables as LaTeX, CSV and Markdown: of one experiment, and over all (leaderboard, cost)."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.files import write_text
from dmlbench.reporting import names
from dmlbench.reporting.captions import TESTS_CAPTION, caption, headline, missing_runs, partial
from dmlbench.reporting.cells import BLOCK, cells, count, printed_cells, stored_name
from dmlbench.reporting.claims import paired_tests
from dmlbench.reporting.formats import DASH, MINUS, NAN, Cell, Table, markdown, markdown_section
from dmlbench.reporting.latex import latex
from dmlbench.reporting.overall_tables import (
    cost,
    cost_table,
    leaderboard,
    leaderboard_tables,
)
from dmlbench.reporting.published.read import published_rows
from dmlbench.reporting.stamped import write_csv
from dmlbench.version import STAMP


def write_tables(plan: Plan, experiment: str) -> None:
    """Write the experiment's table as .tex, .csv (the long form) and .md, and its tests as .csv."""
    name = plan.benchmark.name
    plan.check_experiment(experiment)
    metrics = pd.read_parquet(paths.summary(name, "metrics"))
    ledger = pd.read_csv(paths.ledger(name), keep_default_na=False)
    long, tests = cells(plan, experiment, metrics), paired_tests(plan, experiment, metrics)
    write_csv(Path(paths.table(name, experiment, "csv")), long)
    write_csv(Path(paths.tests(name, experiment)), tests)
    gaps = missing_runs(plan, experiment, ledger)
    tables = experiment_tables(plan, experiment, long, caption(plan, experiment, long, gaps))
    text = [f"## {names.title(plan, experiment)}", ""]
    for part, table in tables.items():
        for selection, block in table.blocks.items():
            text += [f"**{part}**, {selection}", "", markdown(block), ""]
    text += [table.notes, ""]
    printed = list(tables.values())
    if not tests.empty:
        printed.append(tests_table(plan, experiment, tests, gaps))
        text.append(markdown_section(printed[-1]))
    write_text(Path(paths.table(name, experiment, "md")), "\n".join(text))
    write_text(Path(paths.table(name, experiment, "tex")), latex(printed))


def write_overview(plan: Plan, which: str) -> None:
    """Write the leaderboard or the cost table as .tex, .csv (the long form) and .md."""
    name = plan.benchmark.name
    metrics, history, runs = (
        pd.read_parquet(paths.summary(name, table)) for table in ("metrics", "history", "runs")
    )
    ledger = pd.read_csv(paths.ledger(name), keep_default_na=False)
    foot = f"{partial(missing_runs(plan, None, ledger))} {STAMP}".strip()
    if which == "leaderboard":
        long = leaderboard(plan, metrics)
        title, tables = "Leaderboard", leaderboard_tables(long, foot)
    else:
        long = cost(plan, history, runs)
        title, tables = "Cost of training", [cost_table(long, foot)]
    write_csv(Path(paths.table(name, which, "csv")), long)
    write_text(Path(paths.table(name, which, "tex")), latex(tables))
    text = "\n".join([f"## {title}", "", *map(markdown_section, tables)])
    write_text(Path(paths.table(name, which, "md")), text)


def experiment_tables(
    plan: Plan, experiment: str, long: pd.DataFrame, notes: str
) -> dict[str, Table]:
    """A table for each part of the dataset, by the part in words.

    It has a block for each selection, and one for the published methods that are none of ours.
    ``long`` is what :func:`dmlbench.reporting.cells.cells` gave.
    """
    tables = {}
    for key, rows in long.groupby(BLOCK[1:], sort=False):
        part = names.part(*key)
        by_selection = rows.groupby("selection", sort=False)
        blocks = {names.SELECTIONS[name]: printed_cells(block) for name, block in by_selection}
        blocks |= _not_ours(plan, experiment, key, rows)
        title = f"{names.title(plan, experiment)}: {part}"
        label = "-".join(filter(None, (experiment, *key)))
        tables[part] = Table(title, notes, label, blocks)
    return tables


def _not_ours(
    plan: Plan, experiment: str, part: tuple, rows: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The published methods that are none of ours: a block for each source, columns as ours."""
    columns = rows[["metric", "k"]].drop_duplicates().itertuples(index=False, name=None)
    heads = {stored_name(*column): names.measure(*column).label for column in columns}
    found: dict[str, dict] = {}
    for table, row, values, methods in published_rows(plan, experiment, part):
        if not methods and heads.keys() & values.keys():
            cells_of = [Cell(values.get(metric, NAN)) for metric in heads]
            found.setdefault(f"published, not run here: {table.source}", {})[row.name] = cells_of
    head = list(heads.values())
    return {
        source: pd.DataFrame.from_dict(lines, orient="index", columns=head)
        for source, lines in found.items()
    }


def tests_table(plan: Plan, experiment: str, tests: pd.DataFrame, gaps: list[str]) -> Table:
    """The headline tests: a row for each pair of methods, a block for each selection and part."""
    blocks = {}
    for (selection, *part), rows in headline(tests).groupby(BLOCK, sort=False):
        metric = names.measure(*rows[["metric", "k"]].iloc[0]).label
        lines = {_pair(row): _test(row) for row in rows.itertuples()}
        name = f"{names.part(*part)}, {names.SELECTIONS[selection]}: {metric}"
        blocks[name] = pd.DataFrame.from_dict(lines, orient="index", columns=_TEST_HEAD)
    title = f"{names.title(plan, experiment)}: paired tests"
    notes = f"{partial(gaps)} {TESTS_CAPTION}".strip()
    return Table(title, notes, f"{experiment}-tests", blocks)


_TEST_HEAD = ["difference", "p (t)", "p (exact)", "d", "more seeds"]


def _pair(test: NamedTuple) -> str:
    return f"{test.better} {MINUS} {test.worse} {count(test.n, test.planned)}".strip()


def _test(test: NamedTuple) -> list[Cell | str]:
    difference = Cell(test.difference, test.half_width) if test.n else DASH
    p_values = [_p(test.p_t_holm), _p(test.p_exact_holm)]
    return [difference, *p_values, Cell(test.effect), Cell(test.more_seeds, decimals=0)]


def _p(value: float) -> Cell | str:
    return "< 0.001" if value < 0.001 else Cell(value, decimals=3)
