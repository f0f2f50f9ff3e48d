"""Tables of the theory simulation: does a class collapse, with EPS and without?"""

from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.files import replacing, write_text
from dmlbench.reporting.document import render
from dmlbench.reporting.latex import tex
from dmlbench.reporting.names import EPS, THEORY_LOSSES
from dmlbench.reporting.style import paper_style, save
from dmlbench.reporting.theory_figure import draw

DIAMETERS = (
    "Largest diameter of a class without EPS / smallest with EPS, over both classes and {starts} "
    "starts, after {steps} steps. The unit is the root of the margin: collapsed classes "
    "lie 1 (triplet) or 1.41 (margin) apart."
)
VALUES = (
    "Expected loss in units of the margin: lowest - highest over dimensions and starts / the "
    "least that an embedding with collapsed classes can have."
)


def write_theory(plan: Plan) -> None:
    """Write ``collapse`` as .csv, .md, .tex, .pdf and .png beside the simulation's output."""
    name = plan.benchmark.name
    table = pd.read_parquet(paths.theory(name, "collapse.parquet"))
    summary = summarize_ends(table)
    out = {s: Path(paths.theory(name, f"collapse.{s}")) for s in ("csv", "md", "tex", "pdf", "png")}
    with replacing(out["csv"]) as temporary:
        summary.to_csv(temporary, index=False, float_format="%.6f")
    grids = [diameter_grid(summary), value_grid(summary)]
    captions = [
        DIAMETERS.format(starts=summary["starts"].iloc[0], steps=table["step"].max()),
        VALUES,
    ]
    write_text(out["md"], markdown(grids, captions))
    write_text(out["tex"], latex(grids, captions))
    with paper_style():
        save(draw(table), [out["pdf"], out["png"]])


def summarize_ends(table: pd.DataFrame) -> pd.DataFrame:
    """The last step over starts: one row for each loss, dimension, kind of start, p and eps.

    Diameters are those of single classes: the least and the largest of any start and class.
    """
    last = table[table["step"] == table["step"].max()]
    keys = ["loss", "dimension", "kind", "p", "eps"]
    groups = last.groupby(keys, sort=False)
    return groups.agg(
        starts=("start", "size"),
        diameter_min=("diameter_min", "min"),
        diameter_max=("diameter_max", "max"),
        gap_min=("gap", "min"),
        gap_max=("gap", "max"),
        mode_diameter=("mode_diameter", "median"),
        mode_distance=("mode_distance", "median"),
        value_min=("value", "min"),
        value_max=("value", "max"),
        collapsed_value=("collapsed_value", "first"),
    ).reset_index()


def diameter_grid(summary: pd.DataFrame) -> pd.DataFrame:
    """The worst case of every cell as text: no start can be picked for its looks."""
    keys = ["loss", "dimension", "kind"]
    without = summary[~summary["eps"]].set_index([*keys, "p"])["diameter_max"]
    easy = summary[summary["eps"]].set_index([*keys, "p"])["diameter_min"]
    texts = [f"{without[key]:.2f} / {easy[key]:.2f}" for key in without.index]
    grid = _grid(pd.Series(texts, without.index), keys)
    return grid.rename(columns={"dimension": "d", "kind": "start"})


def value_grid(summary: pd.DataFrame) -> pd.DataFrame:
    """The losses reached, and what collapsed classes would cost, as text."""
    keys = ["loss", "eps"]
    groups = summary.groupby([*keys, "p"], sort=False)
    texts = groups.apply(
        lambda g: (
            f"{g['value_min'].min():.3f} - {g['value_max'].max():.3f}"
            f" / {g['collapsed_value'].iloc[0]:.3f}"
        )
    )
    grid = _grid(texts, keys)
    return grid.assign(eps=grid["eps"].map(EPS)).rename(columns={"eps": ""})


def _grid(texts: pd.Series, keys: list[str]) -> pd.DataFrame:
    """``texts`` (indexed by keys and p) with p across, in the order it came."""
    wide = texts.rename("text").reset_index()
    rows = wide[keys].drop_duplicates()
    pivot = wide.pivot(index=keys, columns="p", values="text")[list(dict.fromkeys(wide["p"]))]
    pivot.columns = [f"p = {p:g}" for p in pivot.columns]
    grid = rows.join(pivot, on=keys).reset_index(drop=True)
    return grid.assign(loss=grid["loss"].map(THEORY_LOSSES))


def markdown(grids: list[pd.DataFrame], captions: list[str]) -> str:
    """The two tables in Markdown, captions below."""
    parts = []
    for grid, caption in zip(grids, captions, strict=True):
        parts += [grid.to_markdown(index=False, disable_numparse=True), "", caption, ""]
    return "\n".join(["## Class collapse under label noise (EPS section 4)", "", *parts])


def latex(grids: list[pd.DataFrame], captions: list[str]) -> str:
    """The two tables in LaTeX; a rule between losses."""
    tables = [
        {
            "label": label,
            "caption": tex(caption),
            "head": [_math(column) for column in grid.columns],
            "blocks": [
                [[_math(str(cell)) for cell in row] for row in block.itertuples(index=False)]
                for _, block in grid.groupby("loss", sort=False)
            ],
        }
        for label, grid, caption in zip(("diameter", "value"), grids, captions, strict=True)
    ]
    return render("theory.tex.j2", tables=tables)


def _math(text: str) -> str:
    """``text`` for LaTeX, with ranges as dashes."""
    return tex(text).replace(" - ", "--")
