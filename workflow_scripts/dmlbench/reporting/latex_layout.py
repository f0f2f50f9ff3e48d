"""Splitting a LaTeX table that is too wide or too long for a page."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from dmlbench.reporting.latex_parts import Block, Number, Shape, Table
from dmlbench.version import STAMP

#: Widths in points of \footnotesize in Computer Modern at 10 pt, with some room: a digit, an
#: average letter, a point, a sign, a plus-minus, and the space around a column.
_DIGIT, _LETTER, _POINT, _SIGN, _PLUS_MINUS, _GAP = 4.3, 4.4, 2.4, 6.7, 7.0, 8.0
#: The text width of LaTeX's article class at 10 pt, and the rows that fit on one of its pages.
TEXT_WIDTH, PAGE_ROWS = 345.0, 44
#: A longer name wraps.
NAME_WIDTH = 120.0


def split(table: Table) -> list[Table]:
    """The table in as many as it takes to be no wider and no longer than a page."""
    narrow = [_only(table, columns) for columns in _column_groups(table)]
    pieces = [part for one in narrow if one.blocks for part in _shorter(one)]
    if len(pieces) == 1:
        return pieces
    return [
        replace(
            piece,
            title=f"{table.title} (part {number} of {len(pieces)})",
            caption=table.caption if number == 1 else STAMP,
            label=f"{table.label}-{number}",
        )
        for number, piece in enumerate(pieces, start=1)
    ]


def _column_groups(table: Table) -> Iterator[list[int]]:
    """Numbers of columns that fit beside the row names."""
    names = [name for block in table.blocks for name, _ in block.rows]
    start = min(max(len(name) for name in names) * _LETTER, NAME_WIDTH)
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
    """The table with some of its columns, without rows that have nothing in them."""
    blocks = []
    for block in table.blocks:
        rows = [(name, [cells[c] for c in columns]) for name, cells in block.rows]
        rows = [(name, cells) for name, cells in rows if not all(map(_is_empty, cells))]
        if rows:
            blocks.append(Block(block.name, rows))
    return replace(table, head=[table.head[c] for c in columns], blocks=blocks)


def _is_empty(cell: Number | str) -> bool:
    return isinstance(cell, Number) and pd.isna(cell.value) and not cell.note


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
    return sum(math.ceil(len(name) * _LETTER / NAME_WIDTH) for name, _ in rows)


def _width(cells: list[Number | str]) -> float:
    """About how wide a column is, in points."""
    numbers = [cell for cell in cells if isinstance(cell, Number)]
    if not numbers:
        return min(max(len(str(cell)) for cell in cells) * _LETTER, NAME_WIDTH)
    shape = Shape.of(numbers)
    width = (shape.before + shape.after) * _DIGIT + (_POINT if shape.after else 0)
    width += _SIGN if shape.negative else 0
    if shape.interval:
        # 6.3 has two digits as 53.9(63): before and after the point.
        digits = max(shape.interval, shape.after + 1)
        width += _PLUS_MINUS + digits * _DIGIT + (_POINT if shape.after else 0)
    bold = 1.15 if any(c.bold for c in numbers) else 1.0
    return math.ceil(width * bold) + len(shape.note) * _LETTER


def wraps(table: Table) -> bool:
    """Whether a row's name is too long for one line."""
    names = [name for block in table.blocks for name, _ in block.rows]
    return max(len(name) for name in names) * _LETTER > NAME_WIDTH


def text_wraps(cells: list[str]) -> bool:
    """Whether a column of texts is too wide for one line."""
    return max(len(cell) for cell in cells) * _LETTER > NAME_WIDTH
