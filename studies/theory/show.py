"""The tables and the figure of the simulation: does a class collapse, with EPS and without?"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from dmlbench.files import replacing, write_text

EPS = {False: "without EPS", True: "with EPS"}
LOSSES = {
    "triplet": "Triplet",
    "margin": "Margin, β = α",  # noqa: RUF001
    "margin_learned": "Margin, β learned",
}
DIAMETERS = (
    "Largest diameter of a class without EPS / smallest with EPS, over both classes and {starts} "
    "starts, after {steps} steps. The unit is the root of the margin: collapsed classes "
    "lie 1 (triplet) or 1.41 (margin) apart."
)
VALUES = (
    "Expected loss in units of the margin: lowest - highest over dimensions and starts / the "
    "least that an embedding with collapsed classes can have."
)


def write_tables(table: pd.DataFrame, folder: Path) -> None:
    """Write the ends of all simulations (csv), and two tables of them (md, tex)."""
    summary = summarize_ends(table)
    with replacing(folder / "collapse.csv") as temporary:
        summary.to_csv(temporary, index=False, float_format="%.6f")
    caption = DIAMETERS.format(starts=summary["starts"].iloc[0], steps=table["step"].max())
    grids = {"diameter": (diameter_grid(summary), caption), "value": (value_grid(summary), VALUES)}
    parts = ["## Class collapse under label noise (EPS section 4)"]
    for grid, text in grids.values():
        parts += [grid.to_markdown(index=False, disable_numparse=True), text]
    write_text(folder / "collapse.md", "\n\n".join(parts) + "\n")
    tables = [latex(grid, text, label) for label, (grid, text) in grids.items()]
    write_text(folder / "collapse.tex", "\n".join(tables))


def summarize_ends(table: pd.DataFrame) -> pd.DataFrame:
    """The last step over starts: one row for each loss, dimension, kind of start, p and eps.

    Diameters are those of single classes: the least and the largest of any start and class.
    """
    keys = ["loss", "dimension", "kind", "p", "eps"]
    groups = _last(table).groupby(keys, sort=False)
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
    """The worst case of every cell as text, over all starts."""
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


def latex(grid: pd.DataFrame, caption: str, label: str) -> str:
    """A table in LaTeX; it needs booktabs."""
    style = grid.style.hide(axis="index")
    style.set_table_styles([{"selector": "scriptsize", "props": ":;"}])
    text = style.to_latex(
        hrules=True,
        position="htbp",
        position_float="centering",
        caption=caption,
        label=f"tab:theory-{label}",
        column_format="l" * len(grid.columns),
    )
    for sign, command in {"β": r"$\beta$", "α": r"$\alpha$", " - ": "--"}.items():  # noqa: RUF001
        text = text.replace(sign, command)
    return text


def write_figure(table: pd.DataFrame, folder: Path) -> None:
    """A row for each loss: diameter against step, and at the end against p for each dimension."""
    table = table.assign(
        diameter=(table["diameter_min"] + table["diameter_max"]) / 2,
        loss=table["loss"].map(LOSSES),
        method=table["eps"].map(EPS),
    )
    losses, dimensions = table["loss"].unique(), sorted(table["dimension"].unique())
    panels = {"sharex": "col", "sharey": "row", "squeeze": False, "layout": "constrained"}
    with sns.axes_style("ticks"), sns.plotting_context("paper", font_scale=0.8):
        figure, axes = plt.subplots(
            len(losses), 1 + len(dimensions), figsize=(7, 0.6 + 1.55 * len(losses)), **panels
        )
        for row, loss in zip(axes, losses, strict=True):
            mine = table[table["loss"] == loss]
            _against_step(row[0], mine)
            row[0].set_ylabel(f"{loss}\nclass diameter (√α)")  # noqa: RUF001
            for axis, dimension in zip(row[1:], dimensions, strict=True):
                _against_p(axis, mine[mine["dimension"] == dimension])
                axis.set_title(f"last step, dimension {dimension}" if loss == losses[0] else "")
        sns.despine(figure)
        handles, labels = axes[0, -1].get_legend_handles_labels()
        for axis in axes.flat:
            if legend := axis.get_legend():
                legend.remove()
        figure.legend(handles, labels, loc="outside lower center", ncols=7, frameon=False)
    for suffix, no_date in (("pdf", "CreationDate"), ("png", "Software")):
        with replacing(folder / f"collapse.{suffix}") as temporary:
            figure.savefig(temporary, dpi=200, metadata={no_date: None})
    plt.close(figure)


_LOOK = {"hue": "method", "hue_order": list(EPS.values()), "style": "kind", "y": "diameter"}


def _against_step(axis: plt.Axes, table: pd.DataFrame) -> None:
    """A line for each start, at the middle dimension and the middle noise level."""
    dimension, p = (sorted(table[c].unique())[table[c].nunique() // 2] for c in ("dimension", "p"))
    shown = table[(table["dimension"] == dimension) & (table["p"] == p)]
    sns.lineplot(
        shown, x="step", units="start", estimator=None, ax=axis, legend=False, lw=0.8, **_LOOK
    )
    axis.set(xscale="symlog", xlim=(0, None), ylim=(0, None))
    if axis.get_subplotspec().is_first_row():
        axis.set_title(f"dimension {dimension}, p = {p:g}")


def _against_p(axis: plt.Axes, table: pd.DataFrame) -> None:
    """A marker for each start, and the median over all starts as a line."""
    last = _last(table)
    median = {**_LOOK, "style": None}
    sns.lineplot(
        last, x="p", estimator="median", errorbar=None, ax=axis, legend=False, lw=0.8, **median
    )
    sns.scatterplot(last, x="p", ax=axis, s=12, alpha=0.7, **_LOOK)
    axis.set(xlabel="chance p of a right label", ylim=(0, None), xticks=last["p"].unique())
    axis.set_xlim(last["p"].max() + 0.02, last["p"].min() - 0.02)


def _last(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["step"] == table["step"].max()]


def _grid(texts: pd.Series, keys: list[str]) -> pd.DataFrame:
    """``texts`` (indexed by keys and p) with p across, in the order it came."""
    wide = texts.rename("text").reset_index()
    rows = wide[keys].drop_duplicates()
    pivot = wide.pivot(index=keys, columns="p", values="text")[list(dict.fromkeys(wide["p"]))]
    pivot.columns = [f"p = {p:g}" for p in pivot.columns]
    grid = rows.join(pivot, on=keys).reset_index(drop=True)
    return grid.assign(loss=grid["loss"].map(LOSSES))
