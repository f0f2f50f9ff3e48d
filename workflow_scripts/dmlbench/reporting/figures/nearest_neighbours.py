"""Queries and their nearest neighbours, the same queries for every method."""

from itertools import chain, zip_longest

from dmlbench import paths
from dmlbench.reporting import names
from dmlbench.reporting.figures import (
    embeddings_are_shown,
    register_figure,
    shown_files,
    shown_runs,
    shown_split,
)

#: Methods that a figure shows at most, and rows of thumbnails.
MOST_METHODS, MOST_ROWS = 20, 20
#: Pixels of a thumbnail's side, and between two.
SIDE, GAP = 112, 14
QUERY, RIGHT, WRONG = "query", "neighbour of its class", "of another class"


@register_figure(
    "retrieval",
    title="Nearest neighbours",
    caption=(
        "The same queries for every method, one training seed: the query and its nearest "
        "neighbours, the nearest first. A neighbour of the query's class has a solid frame, one of "
        "another class a broken frame. A hash of the images' numbers chooses the queries."
    ),
    applies=embeddings_are_shown,
    files=shown_files(paths.neighbours),
)
def retrieval(data):
    """A block for each query, two across, with a row for each method (EPS figure 3)."""
    from textwrap import fill

    import pandas as pd

    from dmlbench.data.store import ImageStore
    from dmlbench.reporting.style import PAGE, legend_below, plt

    split = shown_split(data.plan)
    runs = shown_runs(data.plan, data.experiment)[:MOST_METHODS]
    tables = data.of_runs(runs, paths.neighbours(split))
    found = pd.concat([t.assign(method=pd.Series([m] * len(t))) for m, _, t in tables])
    methods = [fill(data.words[method], 18) for method, _, _ in tables]
    store = ImageStore(data.plan.data_folder(runs[0]))
    index = store.index.set_index("id")
    blocks = _blocks(found, index, 2 * max(1, MOST_ROWS // len(methods)))
    ranks, across = int(found["rank"].max()), min(2, len(blocks))
    rows = -(-len(blocks) // across)
    side = (PAGE - 1.4) / 2 / (ranks + 1)  # inches
    size = (1.4 + across * side * (ranks + 1), rows * (0.3 + side * len(methods)) + 0.3)
    figure, axes = plt.subplots(rows, across, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat[len(blocks) :]:
        axis.set_axis_off()
    for number, (query, subset, label) in enumerate(blocks):
        axis, where = axes.flat[number], names.part(split, subset, "")
        mine = found[
            (found["query"] == query) & (found["subset"] == subset) & (found["label"] == label)
        ]
        _thumbnails(axis, store, query, [t for _, t in mine.groupby("method", sort=False)], ranks)
        title = f"{where}: {label} {index.loc[query, label]}".replace("_", " ")
        axis.set_title(title, loc="left")
        middle = [(SIDE + GAP) * (row + 0.5) + GAP / 2 for row in range(len(methods))]
        axis.set_yticks(middle, methods if number % across == 0 else [])
    handles = [
        plt.Rectangle((0, 0), 1, 1, fill=False, **frame) for frame in _frames().values()
    ]  # fmt: skip
    legend_below(figure, handles, list(_frames()), handlelength=1.2, handleheight=1.2)
    shown = found[found["query"].isin([block[0] for block in blocks])]
    return figure, shown[["method", "subset", "label", "query", "rank", "id", "right"]]


def _blocks(found, index, at_most: int) -> list[tuple]:
    """Query, subset and label of each block: subsets take turns, each with its finest label."""
    turns = []
    for subset, mine in found.groupby("subset", sort=False):
        label = max(dict.fromkeys(mine["label"]), key=lambda c: index[c].nunique())
        own = mine[mine["label"] == label]
        turns.append([(q, subset, label) for q in dict.fromkeys(own["query"])])
    wanted = max(len(turn) for turn in turns)
    in_order = [b for b in chain.from_iterable(zip_longest(*turns)) if b is not None]
    return in_order[: min(at_most, max(wanted, len(turns)))]


def _frames() -> dict[str, dict]:
    """The frame of each kind of thumbnail; they differ without colour too."""
    from dmlbench.reporting.style import PALETTE

    return {
        QUERY: {"edgecolor": "black", "linewidth": 0.5},
        RIGHT: {"edgecolor": PALETTE[0], "linewidth": 1.3},
        WRONG: {"edgecolor": PALETTE[1], "linewidth": 1.3, "linestyle": (0, (1.4, 0.9))},
    }


def _thumbnails(axis, store, query: int, rows: list, ranks: int) -> None:
    """The query in the corner, and a row of neighbours for each method.

    Args:
        axis: Where they are drawn.
        store: The images.
        query: The query's id.
        rows: The neighbours of each method: a table with rank, id and right.
        ranks: Neighbours of a row.
    """
    import numpy as np
    import torch
    from matplotlib.patches import Rectangle
    from torchvision.utils import make_grid

    place = {image: row for row, image in enumerate(store.index["id"])}
    pictures = np.full((len(rows), ranks + 1, SIDE, SIDE, 3), 255, dtype=np.uint8)
    frames = _frames()

    def paste(row: int, column: int, image: int, kind: str) -> None:
        picture, left, top, wide, high = _square(store.image(place[image]))
        pictures[row, column] = picture
        corner = [GAP - 0.5 + (SIDE + GAP) * at + off for at, off in ((column, left), (row, top))]
        axis.add_patch(Rectangle(corner, wide, high, fill=False, **frames[kind]))

    paste(0, 0, query, QUERY)
    for row, table in enumerate(rows):
        for one in table.itertuples():
            paste(row, one.rank, one.id, RIGHT if one.right else WRONG)
    flat = torch.from_numpy(pictures).flatten(0, 1).permute(0, 3, 1, 2)
    sheet = make_grid(flat, nrow=ranks + 1, padding=GAP, pad_value=255)
    axis.imshow(sheet.permute(1, 2, 0).numpy(), interpolation="none")
    axis.set(xticks=[])
    axis.tick_params(length=0)
    axis.grid(False)
    axis.spines[:].set_visible(False)


def _square(pixels):
    """An image in the middle of a white square, and where it lies there: left, top, width, height.

    Small scans are enlarged pixel by pixel; larger images are resampled.
    """
    import numpy as np
    from PIL import Image, ImageOps

    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    how = Image.Resampling.NEAREST if max(picture.size) < SIDE else Image.Resampling.LANCZOS
    fitted = ImageOps.contain(picture, (SIDE, SIDE), how)
    left, top = (SIDE - fitted.width) // 2, (SIDE - fitted.height) // 2
    square = Image.new("RGB", (SIDE, SIDE), "white")
    square.paste(fitted, (left, top))
    return np.asarray(square), left, top, *fitted.size
