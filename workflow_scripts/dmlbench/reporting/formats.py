"""A table before it is printed; a cell in Markdown, HTML or LaTeX; tables as CSV and Markdown."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import escape

from dmlbench import BENCHMARK_VERSION, STAMP
from dmlbench.errors import DataError
from dmlbench.files import DAMAGED, naming, replacing
from dmlbench.reporting.names import MORE_DATA

#: Follows the difference to a published number that our interval does not hold.
OUTSIDE = "*"
MINUS = "−"  # noqa: RUF001
DASH = "–"  # noqa: RUF001
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=lambda template: template.endswith("html.j2"),
    trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
)  # fmt: skip


class Cell(NamedTuple):
    """A number of a table."""

    value: float  # NaN prints a dash
    half_width: float | None = None  # of its interval; NaN or None where there is none
    decimals: int = 1
    bold: bool = False
    note: str = ""  # follows the number, such as (2/3) where a seed is missing
    published: float = math.nan  # what a paper says instead
    outside: bool = False  # whether our interval leaves the published number out

    @property
    def comparison(self) -> str:
        """``[42.0, +11.9*]``: the published number and ours minus it; empty where there is none."""
        if pd.isna(self.published) or pd.isna(self.value):
            return ""
        difference = f"{self.value - self.published:+.1f}".replace("-", MINUS)
        return f"[{self.published:.1f}, {difference}{OUTSIDE if self.outside else ''}]"


@dataclass(frozen=True)
class Table:
    """A table; its texts are not escaped for any format."""

    title: str
    notes: str
    label: str  # for LaTeX
    blocks: dict[str, pd.DataFrame]  # by name; each has named rows of Cell or text, and heads


class Format(NamedTuple):
    """How a format writes the parts of a cell."""

    bold: str
    plus_minus: str
    minus: str
    text: Callable[[str], str]  # escapes
    comparison: bool = True  # whether the published number stands in the same cell


#: A bar would end a cell, and GitHub sets what is between two dollar signs as a formula. The others
#: stand where they would begin emphasis, code, a tag or a link.
_MARKUP = re.compile(r"[|$`]|\\(?=[^\w\s])|\*(?=\w)|(?<!\w)_(?=\w)|<(?=[a-zA-Z/!?])|\](?=\()")
MARKDOWN = Format("**{}**", " ± ", MINUS, lambda text: _MARKUP.sub(r"\\\g<0>", text))
HTML = Format("<strong>{}</strong>", " ± ", MINUS, lambda text: str(escape(text)))


def cell_text(cell: Cell | str, form: Format) -> str:
    """A cell in one of the formats, such as ``**53.9 ± 1.2** (2/3) [42.0, +11.9*]``."""
    if isinstance(cell, str):
        return form.text(cell)
    after = [cell.note, cell.comparison if form.comparison else ""]
    after = "".join(f" {part}" for part in after if part)
    if pd.isna(cell.value):
        return form.text(DASH + after)
    text = f"{cell.value:.{cell.decimals}f}"
    if not pd.isna(cell.half_width):
        text += f"{form.plus_minus}{cell.half_width:.{cell.decimals}f}"
    text = text.replace("-", form.minus)
    return (form.bold.format(text) if cell.bold else text) + (after and form.text(after))


def markdown(block: pd.DataFrame) -> str:
    """A block of a table in Markdown."""
    texts = block.map(cell_text, form=MARKDOWN).rename(MARKDOWN.text).rename(columns=MARKDOWN.text)
    return texts.to_markdown(disable_numparse=True)


def markdown_section(table: Table) -> str:
    """A table in Markdown with title and notes; several blocks are told apart by a column."""
    frame = pd.concat([block.assign(block=name) for name, block in table.blocks.items()])
    if len(table.blocks) == 1:
        frame = frame.drop(columns="block")
    title, notes = MARKDOWN.text(table.title), MARKDOWN.text(table.notes)
    return f"**{title}**\n\n{notes}\n\n{markdown(frame)}\n"


def render(template: str, **values: object) -> str:
    """A file of ``templates/`` filled in; values are escaped for HTML, not for LaTeX."""
    return _TEMPLATES.get_template(template).render(**values)


def render_notes(template: str, **values: object) -> str:
    """A template of sentences, filled in, as one line."""
    marks = {"outside": OUTSIDE, "mark": MORE_DATA}
    return " ".join(render(template, stamp=STAMP, **marks, **values).split())


def write_csv(path: Path, table: pd.DataFrame, float_format: str = "%.6f") -> None:
    """Write a table in long form, stamped with the benchmark version that it is of."""
    with replacing(path) as temporary:
        stamped = table.assign(benchmark_version=BENCHMARK_VERSION)
        stamped.to_csv(temporary, index=False, float_format=float_format)


def read_csv(path: Path | str, absent: tuple[str, ...] = ("",)) -> pd.DataFrame:
    """What :func:`write_csv` wrote; a label or method may be called NA. ``absent`` stands for NaN.

    A DataError where the file is not whole.
    """
    try:
        with naming(path):
            text = Path(path).read_text(encoding="utf-8")
        table = pd.read_csv(StringIO(text), keep_default_na=False, na_values=list(absent))
    except ValueError as error:  # what pandas and UTF-8 raise
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: damaged ({reason:.100}); {DAMAGED}") from None
    if not text.endswith("\n"):
        raise DataError(f"{path}: ends in the middle of a line; {DAMAGED}")
    return table
