"""Embeddings in the plane, methods side by side."""

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.knn import tie_keys
from dmlbench.reporting import names
from dmlbench.reporting.figures.kinds import shown_runs, shown_split
from dmlbench.reporting.figures.shared import Scene
from dmlbench.reporting.style import MARKERS, PAGE, PALETTE

#: Panels beside one another, and the most that a figure has: twice a page.
ACROSS, MOST = 4, 48
#: Letters that fit above a panel.
TITLE = 22
#: So many classes are told apart; of more, so many are shown in colour among the others in grey.
CLASSES = 8
_NOT_LABELS = {"id", "path", "split", "subset", "x", "y", "method"}


def embedding(scene: Scene) -> tuple[plt.Figure, None]:
    """The test images, coloured by the finest label (EPS figure 2)."""
    return _draw(scene, shown_split(scene.plan))


def embedding_train(scene: Scene) -> tuple[plt.Figure, None]:
    """The training images (EPS figure 6)."""
    return _draw(scene, "train")


def _draw(scene: Scene, split: str) -> tuple[plt.Figure, None]:
    """A row for each subset; after four methods the rows begin again, so that a page holds them."""
    runs = shown_runs(scene.plan, scene.experiment)
    found = scene.of_runs(runs[:MOST], paths.projection(split))
    points = {scene.words[method]: table for method, _, table in found}
    first = next(iter(points.values()))
    subsets = sorted(first["subset"].unique())
    across = min(ACROSS, len(points))
    groups = [list(points)[i : i + across] for i in range(0, len(points), across)]
    rows = [(group, subset) for group in groups for subset in subsets]
    size = (PAGE - 0.9) / ACROSS
    figure, axes = plt.subplots(
        len(rows),
        across,
        figsize=(size * across + 0.9, (size + 0.12) * len(rows)),
        squeeze=False,
        layout="constrained",
    )
    for row, (group, subset) in zip(axes, rows, strict=True):
        mine = first[first["subset"] == subset]
        label = _label(scene, mine, split)
        chosen = _chosen(mine[label])
        for axis, words in zip(row, group, strict=False):
            everything = points[words]
            _scatter(axis, everything[everything["subset"] == subset], label, chosen)
            # All subsets of a method in one frame.
            axis.set(xlim=_limits(everything["x"]), ylim=_limits(everything["y"]))
            if subset == subsets[0]:
                axis.set_title(fill(words, TITLE))
        for axis in row[len(group) :]:
            axis.set_axis_off()
        row[0].set_ylabel(names.part(split, subset, ""))
        row[len(group) - 1].legend(
            *row[0].get_legend_handles_labels(),
            title=label.replace("_", " "),
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            handletextpad=0.1,
            borderpad=0,
        )
    return figure, None


def _label(scene: Scene, table: pd.DataFrame, split: str) -> str:
    """The finest label where it has few classes (what a collapse hides), else the trained one."""
    columns = [c for c in table.columns if c not in _NOT_LABELS]
    finest = max(columns, key=lambda c: table[c].nunique())
    few = table[finest].nunique() <= CLASSES
    return finest if few else scene.plan.facts(scene.dataset)["train_label"]


def _chosen(values: pd.Series) -> list:
    """The classes in colour: all, or some that nobody picked, of those with most images."""
    counts = values.value_counts()
    if len(counts) <= CLASSES:
        return sorted(counts.index)
    many = np.sort(counts[counts >= counts.median()].index.to_numpy())
    order = np.argsort(tie_keys(np.arange(len(many))))
    return sorted(many[order[:CLASSES]])


def _scatter(axis: plt.Axes, table: pd.DataFrame, label: str, chosen: list) -> None:
    """Points by class, in colours and markers that can be told apart."""
    # One picture inside the PDF: thousands of vector points make files that viewers choke on.
    axis.set_rasterization_zorder(1)
    small = min(6.0, max(1.5, 2500 / len(table)))
    rest = table[~table[label].isin(chosen)]
    if len(rest):
        faint = {"s": small / 2, "linewidth": 0, "color": "0.82", "zorder": 0}
        axis.scatter(rest["x"], rest["y"], **faint)
        axis.scatter([], [], s=12, lw=0, color="0.82", label="others")
    for number, value in enumerate(chosen):
        mine = table[table[label] == value]
        axis.scatter(
            mine["x"],
            mine["y"],
            s=small,
            linewidth=0,
            alpha=0.75,
            color=PALETTE[number % len(PALETTE)],
            marker=MARKERS[number],
            zorder=0.5,
        )
        # For the legend, at a size that shows the marker.
        axis.scatter(
            [], [], s=12, lw=0, color=PALETTE[number], marker=MARKERS[number], label=_short(value)
        )
    axis.set(xticks=[], yticks=[])


def _short(value: object) -> str:
    text = str(value).replace("_", " ")
    return text if len(text) <= 14 else f"{text[:12]}…"


def _limits(values: pd.Series) -> tuple[float, float]:
    low, high = values.min(), values.max()
    room = 0.05 * (high - low or 1.0)
    return low - room, high + room
