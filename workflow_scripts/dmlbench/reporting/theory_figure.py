"""The figure of the theory simulation."""

import pandas as pd

from dmlbench.reporting.names import EPS, THEORY_LOSSES
from dmlbench.reporting.style import PALETTE, plt

COLOURS = {False: PALETTE[1], True: PALETTE[0]}
KINDS = {"modes": ("o", "-"), "random": ("s", "--"), "collapsed": ("^", ":")}  # marker, dashes


def draw(table: pd.DataFrame) -> plt.Figure:
    """A row for each loss: diameter against step, and at the end against p for each dimension."""
    table = table.assign(diameter=(table["diameter_min"] + table["diameter_max"]) / 2)
    losses, dimensions = table["loss"].unique(), sorted(table["dimension"].unique())
    figure, axes = plt.subplots(
        len(losses),
        1 + len(dimensions),
        figsize=(7.0, 0.6 + 1.55 * len(losses)),
        squeeze=False,
        layout="constrained",
        sharey="row",
        sharex="col",
    )
    last = table[table["step"] == table["step"].max()]
    for row, loss in zip(axes, losses, strict=True):
        _against_step(row[0], table[table["loss"] == loss])
        row[0].set_ylabel(f"{THEORY_LOSSES[loss]}\nclass diameter (√α)")  # noqa: RUF001
        for axis, dimension in zip(row[1:], dimensions, strict=True):
            chosen = (last["loss"] == loss) & (last["dimension"] == dimension)
            _against_p(axis, last[chosen])
            if loss == losses[0]:
                axis.set_title(f"last step, dimension {dimension}")
    for axis in axes.flat:
        axis.set_ylim(bottom=0)  # at the end, as rows share their axis
        axis.grid(alpha=0.3, linewidth=0.4)
        axis.tick_params(labelsize=7)
    for axis in axes[-1][1:]:
        axis.set_xlabel("chance p of a right label")
    axes[-1][0].set_xlabel("step")
    _legend(figure)
    return figure


def _against_step(axis: plt.Axes, table: pd.DataFrame) -> None:
    """A line for each start, at the middle dimension and the middle noise level."""
    dimension, p = (sorted(table[c].unique())[table[c].nunique() // 2] for c in ("dimension", "p"))
    shown = table[(table["dimension"] == dimension) & (table["p"] == p)]
    for (easy, kind, _), line in shown.groupby(["eps", "kind", "start"], sort=False):
        axis.plot(
            line["step"],
            line["diameter"],
            color=COLOURS[easy],
            linestyle=KINDS[kind][1],
            linewidth=0.8,
        )
    axis.set_xscale("symlog", linthresh=1)
    ticks = [0, *(10**e for e in range(6) if 10**e <= table["step"].max())]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    if axis.get_subplotspec().is_first_row():
        axis.set_title(f"dimension {dimension}, p = {p:g}")


def _against_p(axis: plt.Axes, last: pd.DataFrame) -> None:
    """A marker for each start, beside one another, and the median as a line."""
    levels = sorted(last["p"].unique(), reverse=True)
    for easy, mine in last.groupby("eps"):
        median = mine.groupby("p")["diameter"].median().loc[levels]
        axis.plot(range(len(levels)), median, color=COLOURS[easy], linewidth=0.8)
        for number, (kind, (marker, _)) in enumerate(KINDS.items()):
            points = mine[mine["kind"] == kind]
            axis.scatter(
                points["p"].map(levels.index) + 0.22 * (number - 1),
                points["diameter"],
                s=7,
                marker=marker,
                facecolors="none",
                edgecolors=COLOURS[easy],
                linewidths=0.6,
            )
    axis.set_xticks(range(len(levels)), [f"{p:g}" for p in levels])


def _legend(figure: plt.Figure) -> None:
    colours = [plt.Line2D([], [], color=COLOURS[easy], label=words) for easy, words in EPS.items()]
    starts = [
        plt.Line2D(
            [],
            [],
            color="0.3",
            linestyle=dashes,
            marker=marker,
            markerfacecolor="white",
            markersize=3.5,
            linewidth=0.8,
            label=f"start: {kind}",
        )
        for kind, (marker, dashes) in KINDS.items()
    ]
    figure.legend(handles=colours + starts, loc="outside lower center", ncols=5, frameon=False)
