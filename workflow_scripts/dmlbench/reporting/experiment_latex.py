"""The LaTeX tables of an experiment: its cells, and its paired tests."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.captions import (
    OUTSIDE,
    TESTS_CAPTION,
    headline,
    is_outside,
    pair_words,
    partial,
)
from dmlbench.reporting.cells import BLOCK
from dmlbench.reporting.latex_parts import Block, Number, Table
from dmlbench.reporting.markdown import p_text
from dmlbench.reporting.measures import measure
from dmlbench.reporting.published.read import Published, published_of
from dmlbench.version import STAMP


def cell_tables(plan: Plan, experiment: str, long: pd.DataFrame, foot: str) -> Iterator[Table]:
    """A table for each part, with a block for each selection; then of differences to papers.

    Args:
        plan: The config.
        experiment: The experiment's name, for caption and label.
        long: What :func:`dmlbench.reporting.cells.cells` gave.
        foot: What the numbers are, for the captions.
    """
    title = (plan.benchmark.experiments[experiment].title or experiment).rstrip(".")
    for (split, subset, label), part in long.groupby(["split", "subset", "label"], sort=False):
        columns = list(dict.fromkeys(zip(part["metric"], part["k"], strict=True)))
        blocks = [
            _block(names.selection(selection), rows, columns)
            for selection, rows in part[part["control"] == ""].groupby("selection", sort=False)
        ]
        controls = part[(part["control"] != "") & (part["selection"] == plan.control_selection)]
        if not controls.empty:
            blocks.append(_block("controls", controls, columns))
        where = (plan.benchmark.experiments[experiment].dataset, split, subset, label)
        sources = published_of(plan, experiment)
        for table in sources:
            blocks += _published(table, where, columns)
        shown = Table(
            title=f"{title}: {names.part(split, subset, label)}",
            caption=foot,
            label="-".join(filter(None, (experiment, split, subset, label))),
            head=[names.metric(*column) for column in columns],
            blocks=blocks,
        )
        yield shown
        if against := [block for table in sources for block in _differences(table, part, columns)]:
            yield replace(
                shown,
                title=f"{shown.title}, ours less published",
                caption=f"Percentage points. {OUTSIDE}: outside our 95% interval. {STAMP}",
                label=f"{shown.label}-published",
                blocks=against,
            )


def _block(name: str, rows: pd.DataFrame, columns: list[tuple[str, int]]) -> Block:
    """One row for each method."""
    lines = []
    for words, found in rows.groupby("method", sort=False):
        found = found.set_index(["metric", "k"]).loc[columns]
        lines.append((words, [_number(c) for c in found.reset_index().to_dict("records")]))
    return Block(name, lines)


def _number(cell: dict) -> Number:
    digits = measure(cell["metric"], cell["k"]).decimals
    partial = f" ({cell['n']}/{cell['planned']})" if cell["n"] < cell["planned"] else ""
    return Number(cell["mean"], cell["half_width"], digits, bool(cell["best"]), partial)


def _published(table: Published, where: tuple, columns: list[tuple[str, int]]) -> Iterator[Block]:
    """The published numbers of this part; nothing where there are none."""
    keys = [f"recall@{k}" if metric == "recall" else metric for metric, k in columns]
    for block in table.parts:
        if block.part == where:
            rows = []
            for row in block.rows:
                found = dict(zip(block.columns, row.values, strict=True))
                numbers = [_maybe(found.get(key)) for key in keys]
                if not all(pd.isna(number.value) for number in numbers):
                    rows.append((row.name, numbers))
            if rows:
                yield Block(f"published: {table.source}", rows)


def _differences(
    table: Published, part: pd.DataFrame, columns: list[tuple[str, int]]
) -> Iterator[Block]:
    """Ours less the published numbers."""
    held_against = part["selection"] == _held_against(table, part)
    mine = part[(part["source"] == table.source) & held_against]
    if not mine.empty:
        rows = []
        for words, found in mine.groupby("method", sort=False):
            cells = {(c["metric"], c["k"]): c for c in found.to_dict("records")}
            rows.append((words, [_difference(cells.get(column)) for column in columns]))
        selection = names.selection(mine["selection"].iloc[0])
        yield Block(f"{selection}, less {table.source}", rows)


def _held_against(table: Published, part: pd.DataFrame) -> str:
    """The selection that published numbers are held against: theirs, or our first."""
    there = list(dict.fromkeys(part["selection"]))
    return table.selection if table.selection in there else there[0]


def _maybe(value: float | None) -> Number:
    return Number(float("nan") if value is None else value)


def _difference(cell: dict | None) -> Number:
    if cell is None:
        return _maybe(None)
    return Number(cell["difference"], note=OUTSIDE if is_outside(cell) else "")


def _p(value: float) -> Number | str:
    return p_text(value) if value < 0.001 else Number(value, decimals=3)


def test_table(plan: Plan, experiment: str, tests: pd.DataFrame, gaps: list[str]) -> list[Table]:
    """The headline tests: a table of pairs, a block for each selection and part."""
    if tests.empty:
        return []
    head = ["difference", "p (t)", "p (exact)", "d", "more seeds"]
    blocks = []
    for key, rows in headline(tests).groupby(BLOCK, sort=False):
        metric = names.metric(*rows[["metric", "k"]].iloc[0])
        lines = [
            (
                pair_words(one),
                [
                    Number(one.difference, one.half_width),
                    _p(one.p_t_holm),
                    _p(one.p_exact_holm),
                    Number(one.effect),
                    Number(one.more_seeds, decimals=0),
                ],
            )
            for one in rows.itertuples()
        ]
        blocks.append(Block(f"{names.part(*key[1:])}, {names.selection(key[0])}: {metric}", lines))
    title = (plan.benchmark.experiments[experiment].title or experiment).rstrip(".")
    foot = f"{partial(gaps)} {TESTS_CAPTION}".strip()
    return [Table(f"{title}: paired tests", foot, f"{experiment}-tests", head, blocks)]
