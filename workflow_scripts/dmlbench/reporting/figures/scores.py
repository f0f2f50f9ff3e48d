"""How alike genuine and impostor pairs are."""

from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import MaxNLocator

from dmlbench import paths
from dmlbench.reporting import names
from dmlbench.reporting.figures.kinds import shown_runs, shown_split
from dmlbench.reporting.figures.shared import Scene
from dmlbench.reporting.style import PAGE, PALETTE

ACROSS, MOST = 4, 48
#: Letters that fit above a panel.
TITLE = 22
GENUINE, IMPOSTOR = PALETTE[0], PALETTE[1]


def similarities(scene: Scene) -> tuple[plt.Figure, pd.DataFrame]:
    """A histogram for each method and part: genuine against impostor pairs, with d'.

    Of unit vectors the similarity is the cosine; of others minus the squared distance, in units of
    the mean over impostor pairs, since lengths of different embeddings cannot be compared.
    """
    file = paths.similarities(shown_split(scene.plan))
    panels = []
    for method, run, found in scene.of_runs(shown_runs(scene.plan, scene.experiment), file):
        unit = scene.plan.recipes[run.recipe]["normalize"]
        for key, table in found.groupby(["split", "subset", "label"], sort=False):
            panels.append((method, key, _densities(table, unit)))
    parts = list(dict.fromkeys(key for _, key, _ in panels))
    units = {scene.plan.recipes[m[0]]["normalize"] for m, _, _ in panels}
    words = {True: "cosine similarity", False: "minus squared distance / impostors' mean"}
    panels = panels[: MOST * len(parts)]
    methods = list(dict.fromkeys(method for method, _, _ in panels))
    groups = [methods[i : i + ACROSS] for i in range(0, len(methods), ACROSS)]
    rows = [(group, part) for group in groups for part in parts]
    figure, axes = plt.subplots(
        len(rows),
        min(ACROSS, len(methods)),
        figsize=(PAGE * min(ACROSS, len(methods)) / ACROSS + 0.2, 1.15 * len(rows) + 0.5),
        squeeze=False,
        layout="constrained",
    )
    of = {(method, key): table for method, key, table in panels}
    for row, (group, part) in zip(axes, rows, strict=True):
        for axis in row[len(group) :]:
            axis.set_axis_off()
        for axis, method in zip(row, group, strict=False):
            _histogram(axis, of[method, part])
            if part == parts[0]:
                axis.set_title(fill(scene.words[method], TITLE))
        row[0].set_ylabel(names.part(*part))
    axes[-1][0].set_xlabel(" or ".join(words[u] for u in sorted(units, reverse=True)), loc="left")
    handles = [plt.Rectangle((0, 0), 1, 1, color=c, alpha=0.55, lw=0) for c in (GENUINE, IMPOSTOR)]
    figure.legend(handles, ["pairs of one class", "of different classes"],
                  loc="outside lower center", ncols=2, frameon=False)  # fmt: skip
    table = pd.concat([t.assign(method=[m] * len(t), part=names.part(*k)) for m, k, t in panels])
    return figure, table


def _densities(table: pd.DataFrame, unit: bool) -> pd.DataFrame:
    """Bin edges on the axis that is drawn, and each kind's density."""
    centre = (table["left"] + table["right"]) / 2
    if unit:
        left, right = 1 + table["left"] / 2, 1 + table["right"] / 2
    else:
        mean = -(centre * table["impostor"]).sum() / table["impostor"].sum()
        left, right = table["left"] / mean, table["right"] / mean
    out = pd.DataFrame({"left": left, "right": right, "d_prime": table["d_prime"]})
    for kind in ("genuine", "impostor"):
        out[kind] = table[kind] / (right - left)
    return out


def _histogram(axis: plt.Axes, table: pd.DataFrame) -> None:
    edges = [*table["left"], table["right"].iloc[-1]]
    for kind, colour, line in (("impostor", IMPOSTOR, "--"), ("genuine", GENUINE, "-")):
        axis.stairs(table[kind], edges, fill=True, color=colour, alpha=0.3, lw=0)
        axis.stairs(table[kind], edges, color=colour, lw=0.8, ls=line)
    value = table["d_prime"].iloc[0]
    if pd.notna(value):
        axis.text(0.04, 0.94, f"d' = {value:.2f}", transform=axis.transAxes, va="top", fontsize=7)
    axis.set(yticks=[], ylim=(0, None), xlim=(edges[0], edges[-1]))
    axis.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axis.spines[["top", "right", "left"]].set_visible(False)
