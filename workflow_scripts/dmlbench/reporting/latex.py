"""Printing LaTeX tables: booktabs rules, numbers aligned by siunitx."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from dmlbench.reporting.latex_layout import NAME_WIDTH, split, text_wraps, wraps
from dmlbench.reporting.latex_parts import Number, Shape, Table, escape


def render(template: str, **values: object) -> str:
    """A LaTeX template of this package, filled in; texts must have gone through :func:`escape`."""
    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # LaTeX, not HTML
    )
    return environment.get_template(template).render(**values)


def latex(tables: list[Table]) -> str:
    """All tables, each split where it is too wide or too long for a page."""
    pieces = [piece for table in tables for piece in split(table)]
    return render("table.tex.j2", tables=[_for_template(piece) for piece in pieces])


#: A column of texts that wrap.
_WRAPPED = rf">{{\raggedright\arraybackslash}}p{{{NAME_WIDTH:g}pt}}"


def _for_template(table: Table) -> dict:
    return {
        "caption": _breakable(f"{table.title}. {table.caption}".strip()),
        "label": table.label,
        "names": _WRAPPED if wraps(table) else "l",
        "head": [escape(head) for head in table.head],
        "columns": [_column_type(table.column(n)) for n in range(len(table.head))],
        "blocks": [
            {
                "name": escape(block.name),
                "rows": [
                    {
                        "name": _breakable(name),
                        "cells": [_cell(cell) for cell in cells],
                    }
                    for name, cells in block.rows
                ],
            }
            for block in table.blocks
        ],
    }


def _cell(cell: Number | str) -> str:
    # A column of numbers sets what is in braces as it is.
    return cell.tex if isinstance(cell, Number) else f"{{{_breakable(cell)}}}"


def _breakable(text: str) -> str:
    """``text`` that may wrap within a config's names and paths, which have no spaces."""
    return escape(text).replace(r"\_", r"\_\allowbreak{}").replace("/", r"/\allowbreak{}")


def _column_type(cells: list[Number | str]) -> str:
    """An S column that has room for the widest number; texts are set left."""
    numbers = [cell for cell in cells if isinstance(cell, Number)]
    if not numbers:
        return _WRAPPED if text_wraps(cells) else "l"
    shape = Shape.of(numbers)
    point = f".{shape.after}" if shape.after else ""
    interval = f"({shape.interval})" if shape.interval else ""
    note = f", table-space-text-post={{{escape(shape.note)}}}" if shape.note else ""
    sign = "-" if shape.negative else ""
    return f"S[table-format={sign}{shape.before}{point}{interval}{note}]"
