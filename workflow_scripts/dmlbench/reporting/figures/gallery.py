"""Queries and their nearest neighbours, the same queries for every method."""

from itertools import chain, zip_longest

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from PIL import Image

from dmlbench import paths
from dmlbench.data.store import ImageStore
from dmlbench.reporting import names
from dmlbench.reporting.figures.kinds import shown_runs, shown_split
from dmlbench.reporting.figures.shared import Scene
from dmlbench.reporting.style import PAGE, PALETTE

#: Methods of a block, and rows of a figure, at most: a page holds no more.
MOST_METHODS, MOST_ROWS = 20, 20
#: Inches: between blocks, for a block's title, around a thumbnail.
BETWEEN, TITLE, AROUND = 0.2, 0.26, 0.03
#: Pixels of an inch of thumbnail.
RESOLUTION = 300
FRAMES = {
    "right": {"edgecolor": PALETTE[0], "linestyle": "-", "linewidth": 1.3},
    "wrong": {"edgecolor": PALETTE[1], "linestyle": (0, (1.4, 0.9)), "linewidth": 1.3},
    "query": {"edgecolor": "black", "linestyle": "-", "linewidth": 0.5},
}


def retrieval(scene: Scene) -> tuple[plt.Figure, pd.DataFrame]:
    """A block for each query, two across, with a row for each method (EPS figure 3)."""
    runs = shown_runs(scene.plan, scene.experiment)[:MOST_METHODS]
    store = ImageStore(scene.plan.data_folder(runs[0]))
    index = store.index.set_index("id")
    file = paths.neighbours(shown_split(scene.plan))
    found = pd.concat(
        [
            table.assign(method=pd.Series([(run.recipe, run.loss, run.sampler)] * len(table)))
            for run, table in ((run, scene.of_run(run, file)) for run in runs)
        ]
    )
    blocks = _queries(found, index, 2 * max(1, MOST_ROWS // len(runs)))
    methods = list(dict.fromkeys(found["method"]))
    across = int(found["rank"].max()) + 1
    names_width = 0.06 * max(len(scene.words[m]) for m in methods)  # inches of a letter
    side = (PAGE - names_width - BETWEEN) / (2 * across)
    columns = min(2, len(blocks))
    height = TITLE + side * len(methods)
    levels = -(-len(blocks) // columns)
    width = names_width + columns * across * side + (columns - 1) * BETWEEN
    figure = plt.figure(figsize=(width, height * levels + TITLE))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width), ylim=(height * levels + TITLE, 0))
    axis.set_axis_off()
    row_of = {image: row for row, image in enumerate(store.index["id"])}
    for number, (query, subset, label) in enumerate(blocks):
        left = names_width + (number % columns) * (across * side + BETWEEN)
        top = (number // columns) * height + TITLE
        where = names.part(shown_split(scene.plan), subset, "")
        title = f"{where}: {label.replace('_', ' ')} {index.loc[query, label]}".replace("_", " ")
        axis.text(left + AROUND, top - 0.06, title, fontsize=7)
        _thumbnail(axis, store.image(row_of[query]), left, top, side, "query")
        mine = found[
            (found["query"] == query) & (found["subset"] == subset) & (found["label"] == label)
        ]
        for line, method in enumerate(methods):
            y = top + line * side
            if number % columns == 0:
                axis.text(names_width - 0.06, y + side / 2, scene.words[method], fontsize=7,
                          ha="right", va="center")  # fmt: skip
            for n in mine[mine["method"] == method].itertuples():
                state = "right" if n.right else "wrong"
                _thumbnail(axis, store.image(row_of[n.id]), left + n.rank * side, y, side, state)
    _legend(axis, height * levels + TITLE)
    columns_kept = ["method", "subset", "label", "query", "rank", "id", "right"]
    shown = found[found["query"].isin([b[0] for b in blocks])]
    return figure, shown[columns_kept]


def _queries(found: pd.DataFrame, index: pd.DataFrame, at_most: int) -> list[tuple]:
    """Query, subset and label of each block: subsets take turns, each with its finest label."""
    turns = []
    for subset, mine in found.groupby("subset", sort=False):
        label = max(dict.fromkeys(mine["label"]), key=lambda c: index[c].nunique())
        own = mine[mine["label"] == label]
        turns.append([(q, subset, label) for q in dict.fromkeys(own["query"])])
    wanted = max(len(turn) for turn in turns)
    inorder = [b for b in chain.from_iterable(zip_longest(*turns)) if b is not None]
    return inorder[: min(at_most, max(wanted, len(turns)))]


def _thumbnail(
    axis: plt.Axes, pixels: np.ndarray, x: float, y: float, side: float, state: str
) -> None:
    """An image inside a square with a frame that says right or wrong."""
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    inner = side - 2 * AROUND
    scale = inner / max(picture.size)
    wide, high = picture.width * scale, picture.height * scale
    if max(picture.size) > inner * RESOLUTION:
        picture.thumbnail((round(inner * RESOLUTION),) * 2, Image.Resampling.LANCZOS)
    left, top = x + (side - wide) / 2, y + (side - high) / 2
    extent = (left, left + wide, top + high, top)
    axis.imshow(
        np.asarray(picture), extent=extent, cmap="gray", vmin=0, vmax=255, aspect="auto",
        interpolation="nearest", zorder=1,
    )  # fmt: skip
    frame = Rectangle((left, top), wide, high, fill=False, zorder=2, **FRAMES[state])
    axis.add_patch(frame)


def _legend(axis: plt.Axes, bottom: float) -> None:
    words = {
        "query": "query", "right": "neighbour of its class", "wrong": "of another class"
    }  # fmt: skip
    handles = [Rectangle((0, 0), 1, 1, fill=False, label=w, **FRAMES[s]) for s, w in words.items()]
    axis.legend(
        handles=handles, loc="lower center", ncols=3, frameon=False, handlelength=1.2,
        handleheight=1.2, borderpad=0, borderaxespad=0,
    )  # fmt: skip
