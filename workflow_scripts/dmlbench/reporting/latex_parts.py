"""What a LaTeX table is made of, before it is laid out."""

from dataclasses import dataclass

import pandas as pd

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
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\to$",
    "×": r"$\times$",  # noqa: RUF001
}


def escape(text: str) -> str:
    """``text`` so that LaTeX prints it as it is."""
    return "".join(_SPECIAL.get(character, character) for character in text)


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
    """One table: texts are not escaped yet.

    Where it is split, all parts have the title and the version, and the first the whole caption.
    """

    title: str
    caption: str
    label: str
    head: list[str]
    blocks: list[Block]

    def column(self, number: int) -> list[Number | str]:
        """The cells of one column."""
        return [cells[number] for block in self.blocks for _, cells in block.rows]


@dataclass(frozen=True)
class Shape:
    """The widest of a column of numbers: digits before and after the point and of the interval."""

    negative: bool
    before: int
    after: int
    interval: int
    note: str

    @classmethod
    def of(cls, cells: list[Number]) -> "Shape":
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
