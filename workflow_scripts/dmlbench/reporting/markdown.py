"""Tables in Markdown, and their cells read back."""

import re

import pandas as pd

from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.captions import OUTSIDE, TESTS_CAPTION, headline, is_outside, pair_words
from dmlbench.reporting.cells import BLOCK
from dmlbench.reporting.measures import measure

_MINUS = "−"  # noqa: RUF001
_DASH = "–"  # noqa: RUF001


def markdown(
    plan: Plan, experiment: str, long: pd.DataFrame, tests: pd.DataFrame, foot: str
) -> str:
    """One table for each selection and part, what their numbers are (``foot``), and the tests."""
    lines = [f"## {plan.benchmark.experiments[experiment].title or experiment}", ""]
    for (selection, split, subset, label), block in long.groupby(BLOCK, sort=False):
        lines += [f"**{names.part(split, subset, label)}**, {names.selection(selection)}", ""]
        lines += [wide(block).to_markdown(disable_numparse=True), ""]
    lines += [foot, ""]
    if not tests.empty:
        lines += ["**Paired tests**", "", tests_markdown(tests), "", TESTS_CAPTION, ""]
    return "\n".join(lines)


def wide(block: pd.DataFrame) -> pd.DataFrame:
    """Methods down, controls below them, metrics across, cells as text."""
    texts = [cell_text(cell) for cell in block.to_dict("records")]
    columns = [names.metric(r.metric, r.k) for r in block.itertuples()]
    table = block.assign(text=texts, column=columns)
    order = list(dict.fromkeys(columns))
    methods = list(dict.fromkeys(block["method"]))
    pivot = table.pivot(index="method", columns="column", values="text")
    return pivot.loc[methods, order].rename_axis(columns=None)


def cell_text(cell: dict) -> str:
    """``**53.9 ± 1.2** (2/3) [42.0, +11.9*]``.

    Mean and half interval, bold where tests support that it is the best; how many of the planned
    seeds, where some are missing; the published number and ours less it, with a star where our
    interval does not hold it.
    """
    digits = measure(cell["metric"], int(cell["k"])).decimals
    partial = f" ({cell['n']:.0f}/{cell['planned']:.0f})" if cell["n"] < cell["planned"] else ""
    if pd.isna(cell["mean"]):
        return f"{_DASH}{partial}"
    text = f"{cell['mean']:.{digits}f}"
    if not pd.isna(cell["half_width"]):
        text += f" ± {cell['half_width']:.{digits}f}"
    text = (f"**{text}**" if cell["best"] else text) + partial
    if not pd.isna(cell["published"]):
        star = OUTSIDE if is_outside(cell) else ""
        difference = f"{cell['difference']:+.1f}".replace("-", _MINUS)
        text += f" [{cell['published']:.1f}, {difference}{star}]"
    return text


def tests_markdown(tests: pd.DataFrame) -> str:
    """The headline tests as a Markdown table."""
    rows = []
    for one in headline(tests).itertuples():
        interval = "" if pd.isna(one.half_width) else f" ± {one.half_width:.1f}"
        difference = f"{one.difference:+.1f}{interval}" if one.n else _DASH
        rows.append(
            {
                "": pair_words(one),
                "part": names.part(one.split, one.subset, one.label),
                "weights": names.selection(one.selection),
                "metric": names.metric(one.metric, one.k),
                "difference": difference.replace("-", _MINUS),
                "p (t)": p_text(one.p_t_holm),
                "p (exact)": p_text(one.p_exact_holm),
                "d": "–" if pd.isna(one.effect) else f"{one.effect:.1f}".replace("-", _MINUS),  # noqa: RUF001
                "more seeds": "–" if pd.isna(one.more_seeds) else f"{one.more_seeds:.0f}",  # noqa: RUF001
            }
        )
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def p_text(p: float) -> str:
    """A p-value with three digits; a dash where nothing was tested."""
    if pd.isna(p):
        return _DASH
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


_CELL = re.compile(
    r"(?:\*\*)?(?P<mean>−?[\d.]+|–)(?: ± (?P<half>[\d.]+))?(?P<bold>\*\*)?"  # noqa: RUF001
    r"(?: \((?P<n>\d+)/(?P<planned>\d+)\))?"
    r"(?: \[(?P<published>[\d.]+), (?P<difference>[+−][\d.]+)(?P<outside>\*)?\])?"  # noqa: RUF001
)


def parse_cell(text: str) -> dict:
    """What a cell says: the reverse of :func:`cell_text`, for tests and readers.

    Raises:
        ValueError: It is no cell.
    """
    match = _CELL.fullmatch(text)
    if match is None:
        raise ValueError(f"not a table cell: {text!r}")
    found = match.groupdict()
    numbers = ("mean", "half", "n", "planned", "published", "difference")
    values = {k: _number(found[k]) for k in numbers}
    return {**values, "bold": bool(found["bold"]), "outside": bool(found["outside"])}


def _number(text: str | None) -> float | None:
    return None if text in (None, _DASH) else float(text.replace(_MINUS, "-"))
