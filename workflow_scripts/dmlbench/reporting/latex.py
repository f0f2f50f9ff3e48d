r"""Tables in LaTeX: pandas writes them, siunitx aligns the numbers, adjustbox fits the width.

A table with more rows than a page has becomes a longtable. One with many columns lies across the
page.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import ceil

import numpy as np
import pandas as pd
from pylatexenc.latexencode import UnicodeToLatexEncoder

from dmlbench.reporting.formats import Cell, Format, Table, cell_text, render

#: What a document with these tables needs before \begin{document}.
PACKAGES = r"""\usepackage[T1]{fontenc}
\usepackage{lmodern,textcomp,array,booktabs,longtable,siunitx,adjustbox,pdflscape}"""
#: Columns beyond the first limit turn a table sideways, beyond the second they split it.
_UPRIGHT_COLUMNS, _MOST_COLUMNS = 8, 10
#: More rows than this become a longtable: on an upright page, and on one that lies across.
_ROWS, _ROWS_ACROSS = 45, 28
#: A column of names or texts that wrap, in em; up to so many columns leave room for longer names.
_WRAPPED = r">{\raggedright\arraybackslash}p{%gem}"
_NAMES, _LONG_NAMES, _FEW_COLUMNS = 13, 24, 5
#: A name of more letters wraps. A word of more letters may break after signs, or anywhere.
_NAME, _SHORT, _LONG = 26, 12, 26
#: What LaTeX's usual fonts print of all that pylatexenc can write, as tried with pdflatex: some
#: signs need packages that few have, such as those for Cyrillic and phonetic letters.
_PRINTS = re.compile(
    r"[ -~\u00a1-\u00b7\u00b9-\u0148\u014a-\u017e\u0391-\u03a1\u03a3-\u03a9\u03b1-\u03c9"
    r"\u2012-\u2015\u2018-\u201a\u201c-\u201e\u2020-\u2022\u2026\u2030-\u2033\u2190-\u2195"
    r"\u21d0-\u21d4∀∂∃∇∈∏∑−√∝∞∩∪∫≈≠≡≤≥⊂⊆⊕⊗]"  # noqa: RUF001
)
_ENCODER = UnicodeToLatexEncoder(unknown_char_policy="fail", unknown_char_warning=False)


@cache
def tex(text: str) -> str:
    """``text`` so that LaTeX prints it as it is; a sign that its fonts lack prints as [U+4E2D].

    Lines may break within long words, and within the names and paths of a config.
    """
    return " ".join(map(_word, text.split()))


def _word(word: str) -> str:
    parts = []
    for place, sign in enumerate(word, start=1):
        known = _PRINTS.fullmatch(sign)
        parts.append(_ENCODER.unicode_to_latex(sign) if known else f"{{[}}U+{ord(sign):04X}]")
        after = sign in "_/" and len(word) > _SHORT
        if after or not known or (place % 10 == 0 and len(word) > _LONG):
            parts.append(r"\allowbreak{}")
    return "".join(parts)


def _text(text: str) -> str:
    space = "~" if text.startswith(" ") else ""
    return f"{{{space}{tex(text)}}}"


# siunitx reads the numbers; it prints what is in braces as it is.
LATEX = Format(r"\bfseries {}", r" \pm ", "-", _text, comparison=False)


def latex(tables: list[Table]) -> str:
    """All tables as a file for ``\\input``."""
    lines = ["% Made by dmlbench from the collected metrics; do not edit. The preamble needs:"]
    lines += [f"%   {line}" for line in PACKAGES.splitlines()]
    return "\n".join(lines + [_environment(part) for table in tables for part in _split(table)])


def _split(table: Table) -> Iterator[Table]:
    """The table, or several where it has too many columns to be read side by side."""
    columns = len(next(iter(table.blocks.values())).columns)
    groups = np.array_split(np.arange(columns), ceil(columns / _MOST_COLUMNS))
    for number, group in enumerate(groups, start=1):
        part = f" (part {number} of {len(groups)})" if len(groups) > 1 else ""
        label = f"{table.label}-{number}" if part else table.label
        blocks = {name: _note_once(b.iloc[:, group]) for name, b in table.blocks.items()}
        yield replace(table, title=table.title + part, label=label, blocks=blocks)


def _environment(table: Table) -> str:
    """One table with its caption and notes."""
    frame = pd.concat(table.blocks.values())
    columns = [frame.iloc[:, place].tolist() for place in range(len(frame.columns))]
    rows = pd.DataFrame(_rows(table), columns=["", *map(tex, frame.columns)])
    across = len(columns) > _UPRIGHT_COLUMNS
    is_long = len(rows) > (_ROWS_ACROSS if across else _ROWS)
    few = len(frame.columns) <= _FEW_COLUMNS
    short = max(map(len, frame.index)) <= (2 if few else 1) * _NAME
    name_column = "l" if short else _WRAPPED % (_LONG_NAMES if few else _NAMES)
    layout = f"@{{}}{name_column}{''.join(map(_column, columns))}@{{}}"
    label = "tab:" + re.sub(r"[^a-zA-Z0-9_-]", "-", table.label)
    about = {"caption": tex(table.title), "label": label}
    options = {"column_format": layout, "hrules": True, "siunitx": True}
    if is_long:
        options |= {"environment": "longtable", **about}
    tabular = rows.style.hide(axis="index").to_latex(**options)
    return render(
        "table.tex.j2", **about, notes=tex(table.notes), across=across, is_long=is_long,
        layout=layout, longest=_longest_cells(rows) if is_long else [], tabular=tabular.rstrip(),
    )  # fmt: skip


def _rows(table: Table) -> Iterator[list[str]]:
    """The rows as LaTeX: a line with the name of each block, and published numbers below ours."""
    for place, (name, block) in enumerate(table.blocks.items()):
        if name:
            rule = "\\midrule\n" if place else ""
            yield [f"{rule}\\mbox{{\\rlap{{\\textit{{{tex(name)}}}}}}}", *[""] * len(block.columns)]
        for words, cells in zip(block.index, block.to_numpy(), strict=True):
            yield ["{}" + tex(words), *(cell_text(cell, LATEX) for cell in cells)]
            against = [cell.comparison if isinstance(cell, Cell) else "" for cell in cells]
            if any(against):
                yield ["", *(LATEX.text(text) if text else "" for text in against)]


def _note_once(block: pd.DataFrame) -> pd.DataFrame:
    """The block with a note that all cells of a row share moved to the row's name."""
    rows = {}
    for words, cells in zip(block.index, block.to_numpy(), strict=True):
        notes = {cell.note if isinstance(cell, Cell) else "" for cell in cells}
        if len(notes) == 1 and "" not in notes:
            words, cells = f"{words} {notes.pop()}", [cell._replace(note="") for cell in cells]
        rows[words] = list(cells)
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=block.columns)


def _longest_cells(rows: pd.DataFrame) -> list[list[str]]:
    """The heads, and the four longest cells of each column as rows: a long table is as wide."""
    cells = [[text for text in rows.iloc[:, n] if "rlap" not in text] for n in range(rows.shape[1])]
    longest = zip(*(sorted(column, key=len)[-4:] for column in cells), strict=True)
    return [[f"{{{head}}}" for head in rows.columns], *longest]


def _column(cells: list[Cell | str]) -> str:
    """A column with room for its widest number; texts are set left."""
    shown = [cell for cell in cells if isinstance(cell, Cell) and not pd.isna(cell.value)]
    if not shown:
        longest = max(len(cell) if isinstance(cell, str) else 1 for cell in cells)
        return "l" if longest <= _NAME else _WRAPPED % _NAMES
    form = _digits([cell.value for cell in shown], shown[0].decimals)
    halves = [cell.half_width for cell in shown if not pd.isna(cell.half_width)]
    if halves:
        form += rf" \pm {_digits(halves, shown[0].decimals)}"
    note = max((cell.note for cell in cells if isinstance(cell, Cell)), key=len)
    note = f", table-space-text-post={LATEX.text(f' {note}')}" if note else ""
    return f"S[table-format={form}{note}]"


def _digits(values: list[float], decimals: int) -> str:
    """The siunitx format with room for all values, such as ``-2.1``."""
    digits = max(len(f"{abs(value):.{decimals}f}".split(".")[0]) for value in values)
    sign = "-" if min(values) < 0 else ""
    return f"{sign}{digits}.{decimals}" if decimals else f"{sign}{digits}"
