"""LaTeX tables: booktabs rules, numbers aligned by siunitx, split where they would be too wide."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader

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
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": r"$-$",  # noqa: RUF001
    "–": r"--",  # noqa: RUF001
    "′": r"$'$",  # noqa: RUF001
    "β": r"$\beta$",
    "α": r"$\alpha$",  # noqa: RUF001
    "τ": r"$\tau$",
}
#: Widths in points of \footnotesize in Computer Modern at 10 pt, with some room: a digit, an
#: average letter, a point, a sign, a plus-minus with its spaces, and the space around a column.
_DIGIT, _LETTER, _POINT, _SIGN, _PLUS_MINUS, _GAP = 4.3, 4.4, 2.4, 6.7, 11.5, 8.0
#: The text width of LaTeX's article class at 10 pt, and the rows that fit on one of its pages.
TEXT_WIDTH, PAGE_ROWS = 345.0, 44
#: A longer name wraps.
_NAME_WIDTH = 150.0


@dataclass(frozen=True)
class Number:
    """What an S column prints.

    Attributes:
        value: NaN prints a dash.
        half_width: Of the interval; None or NaN for none.
        decimals: Digits after the point.
        bold: Whether it is the best.
        note: What follows it: a star, or k/n.
    """

    value: float
    half_width: float | None = None
    decimals: int = 1
    bold: bool = False
    note: str = ""

    @property
    def tex(self) -> str:
        """``53.9(12)`` for 53.9 ± 1.2, ``53.9`` without an interval."""
        note = f"{{{escape(self.note)}}}" if self.note else ""
        if pd.isna(self.value):
            return rf"{{--{escape(self.note)}}}"
        text = f"{self.value:.{self.decimals}f}"
        if not pd.isna(self.half_width):
            text += f"({round(self.half_width * 10**self.decimals)})"
        return (r"\bfseries " if self.bold else "") + text + note


@dataclass(frozen=True)
class Block:
    """Rows under a name: row names, and a number or a text for each column."""

    name: str
    rows: list[tuple[str, list[Number | str]]]


@dataclass(frozen=True)
class Table:
    """One table: texts are not escaped yet."""

    caption: str
    label: str
    head: list[str]
    blocks: list[Block]

    def column(self, number: int) -> list[Number | str]:
        """The cells of one column."""
        return [cells[number] for block in self.blocks for _, cells in block.rows]


def escape(text: str) -> str:
    """``text`` so that LaTeX prints it as it is."""
    return "".join(_SPECIAL.get(character, character) for character in text)


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


def split(table: Table) -> list[Table]:
    """The table in as many as it takes to be no wider and no longer than a page."""
    pieces = [part for columns in _column_groups(table) for part in _shorter(_only(table, columns))]
    if len(pieces) == 1:
        return pieces
    return [
        replace(
            piece,
            caption=f"{table.caption} (Part {number} of {len(pieces)}.)",
            label=f"{table.label}-{number}",
        )
        for number, piece in enumerate(pieces, start=1)
    ]


def _column_groups(table: Table) -> Iterator[list[int]]:
    """Numbers of columns that fit beside the row names."""
    names = [name for block in table.blocks for name, _ in block.rows]
    start = min(max(len(name) for name in names) * _LETTER, _NAME_WIDTH)
    group: list[int] = []
    width = start
    for number, head in enumerate(table.head):
        needed = max(_width(table.column(number)), len(head) * _LETTER) + _GAP
        if group and width + needed > TEXT_WIDTH:
            yield group
            group, width = [], start
        group.append(number)
        width += needed
    yield group


def _only(table: Table, columns: list[int]) -> Table:
    blocks = [
        Block(b.name, [(name, [cells[c] for c in columns]) for name, cells in b.rows])
        for b in table.blocks
    ]
    return replace(table, head=[table.head[c] for c in columns], blocks=blocks)


def _shorter(table: Table) -> Iterator[Table]:
    """The table's blocks, as many as fit on a page at a time; a long block is cut."""
    page: list[Block] = []
    left = PAGE_ROWS
    for block in table.blocks:
        # A block is cut only where no page could hold it whole.
        if page and left < _lines(block.rows) + 2 <= PAGE_ROWS:
            yield replace(table, blocks=page)
            page, left = [], PAGE_ROWS
        rows: list = []
        for row in block.rows:
            if rows and _lines([*rows, row]) + 2 > left:
                yield replace(table, blocks=[*page, Block(block.name, rows)])
                page, left, rows = [], PAGE_ROWS, []
            rows.append(row)
        page.append(Block(block.name, rows))
        left -= _lines(rows) + 2
    yield replace(table, blocks=page)


def _lines(rows: list) -> int:
    """How many lines rows take: long names wrap."""
    return sum(math.ceil(len(name) * _LETTER / _NAME_WIDTH) for name, _ in rows)


def _for_template(table: Table) -> dict:
    names = [name for block in table.blocks for name, _ in block.rows]
    wraps = max(len(name) for name in names) * _LETTER > _NAME_WIDTH
    return {
        "caption": escape(table.caption),
        "label": table.label,
        "names": rf">{{\raggedright\arraybackslash}}p{{{_NAME_WIDTH:g}pt}}" if wraps else "l",
        "head": [escape(head) for head in table.head],
        "columns": [_column_type(table.column(n)) for n in range(len(table.head))],
        "blocks": [
            {
                "name": escape(block.name),
                "rows": [
                    {
                        "name": escape(name),
                        "cells": [c.tex if isinstance(c, Number) else escape(c) for c in cells],
                    }
                    for name, cells in block.rows
                ],
            }
            for block in table.blocks
        ],
    }


@dataclass(frozen=True)
class _Shape:
    """The widest of a column of numbers: digits before and after the point and of the interval."""

    negative: bool
    before: int
    after: int
    interval: int
    note: str

    @classmethod
    def of(cls, cells: list[Number]) -> "_Shape":
        shown = [c for c in cells if not pd.isna(c.value)] or [Number(0.0)]
        halves = [
            len(str(round(c.half_width * 10**c.decimals)))
            for c in shown
            if not pd.isna(c.half_width)
        ]
        return cls(
            any(c.value < 0 for c in shown),
            max(len(f"{abs(c.value):.{c.decimals}f}".split(".")[0]) for c in shown),
            max(c.decimals for c in shown),
            max(halves, default=0),
            max((c.note for c in cells), key=len),
        )


def _column_type(cells: list[Number | str]) -> str:
    """An S column that has room for the widest number; texts are set left."""
    numbers = [cell for cell in cells if isinstance(cell, Number)]
    if not numbers:
        return "l"
    shape = _Shape.of(numbers)
    point = f".{shape.after}" if shape.after else ""
    interval = f"({shape.interval})" if shape.interval else ""
    note = f", table-space-text-post={{{escape(shape.note)}}}" if shape.note else ""
    sign = "-" if shape.negative else ""
    return f"S[table-format={sign}{shape.before}{point}{interval}{note}]"


def _width(cells: list[Number | str]) -> float:
    """About how wide a column is, in points."""
    numbers = [cell for cell in cells if isinstance(cell, Number)]
    if not numbers:
        return max(len(str(cell)) for cell in cells) * _LETTER
    shape = _Shape.of(numbers)
    width = (shape.before + shape.after) * _DIGIT + (_POINT if shape.after else 0)
    width += _SIGN if shape.negative else 0
    if shape.interval:
        # 6.3 has two digits as 53.9(63): before and after the point.
        digits = max(shape.interval, shape.after + 1)
        width += _PLUS_MINUS + digits * _DIGIT + (_POINT if shape.after else 0)
    bold = 1.15 if any(c.bold for c in numbers) else 1.0
    return math.ceil(width * bold) + len(shape.note) * _LETTER
