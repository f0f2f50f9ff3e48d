"""LaTeX tables: booktabs rules, numbers aligned by siunitx."""

from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.published.read import read_published

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
}


def escape(text: str) -> str:
    """``text`` so that LaTeX prints it as it is."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def number(mean: float, half_width: float | None) -> str:
    """What an S column takes: ``53.9(12)`` for 53.9 ± 1.2, ``53.9`` without an interval."""
    if half_width is None or pd.isna(half_width):
        return f"{mean:.1f}"
    return f"{mean:.1f}({round(half_width * 10)})"


def render(template: str, **values: object) -> str:
    """A LaTeX template of this package, filled in; texts must have gone through :func:`escape`."""
    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # LaTeX, not HTML
    )
    return environment.get_template(template).render(**values)


def latex_table(plan: Plan, experiment: str, long: pd.DataFrame, foot: str) -> str:
    """One table for each part of the dataset; selections are labelled blocks of rows.

    Args:
        plan: The config.
        experiment: The experiment's name, for caption and label.
        long: What :func:`dmlbench.reporting.tables.cells` gave.
        foot: What the numbers are, for the captions.
    """
    title = plan.benchmark.experiments[experiment].title or experiment
    parts = [
        _part(plan, experiment, key, block)
        for key, block in long.groupby(["split", "subset", "label"], sort=False)
    ]
    return render(
        "table.tex.j2",
        title=escape(title.rstrip(".")),
        foot=escape(foot),
        label=experiment,
        parts=parts,
    )


def _part(plan: Plan, experiment: str, key: tuple[str, str, str], block: pd.DataFrame) -> dict:
    """One table: its head, its blocks of rows and the widths of its number columns."""
    columns = list(dict.fromkeys((r.metric, r.k) for r in block.itertuples()))
    blocks = []
    for selection, rows in block.groupby("selection", sort=False):
        lines = []
        for words, cells in rows.groupby("method", sort=False):
            cells = cells.set_index(["metric", "k"]).loc[columns]
            numbers = [number(c["mean"], c["half_width"]) for _, c in cells.iterrows()]
            lines.append({"name": escape(words), "cells": numbers})
        blocks.append({"name": escape(names.selection(selection)), "rows": lines})
    if published := _published(plan, experiment, block, columns):
        blocks.append(published)
    return {
        "name": escape(names.part(*key)),
        "label": "-".join(p for p in key if p),
        "head": [names.metric(*column) for column in columns],
        "formats": [_format(block, *column) for column in columns],
        "blocks": blocks,
    }


def _format(block: pd.DataFrame, metric: str, k: int) -> str:
    """siunitx's table-format of one column: digits before the point, after it, of the interval."""
    column = block[(block["metric"] == metric) & (block["k"] == k)]
    half = column["half_width"].max()
    digits = "" if pd.isna(half) else f"({len(str(round(half * 10)))})"
    return f"{len(str(int(column['mean'].max())))}.1{digits}"


def _published(
    plan: Plan, experiment: str, block: pd.DataFrame, columns: list[tuple[str, int]]
) -> dict | None:
    """The published rows, as a block of its own; None where nothing was published."""
    name = plan.benchmark.experiments[experiment].published
    if name is None or block["published"].isna().all():
        return None
    table = read_published(name)
    first = block[block["selection"] == block["selection"].iloc[0]]
    lines = []
    for words, cells in first.groupby("method", sort=False):
        values = cells.set_index(["metric", "k"])["published"].loc[columns]
        if values.notna().any():
            numbers = ["{--}" if pd.isna(v) else f"{v:.1f}" for v in values]
            lines.append({"name": escape(words), "cells": numbers})
    return {"name": escape(f"published ({table['paper']}, {table['table']})"), "rows": lines}
