"""Queries and their nearest neighbours, the same queries for every method."""

from itertools import chain, zip_longest

from dmlbench import paths
from dmlbench.reporting import names
from dmlbench.reporting.figures import (
    embeddings_are_shown,
    register_figure,
    shown_files,
    shown_split,
)

#: Methods that a figure shows at most, and rows of thumbnails.
MOST_METHODS, MOST_ROWS = 20, 20
#: Pixels of a thumbnail's side, and between two.
SIDE, GAP = 112, 14
_KINDS = ["query", "neighbour of its class", "of another class"]
_FILES = shown_files(paths.neighbours)


@register_figure("Nearest neighbours", applies=embeddings_are_shown, files=_FILES)
def retrieval(data):
    """The same queries for every method, one training seed: the query and its nearest neighbours,
    the nearest first. A neighbour of the query's class has a solid frame, one of another class a
    broken frame. A hash of the images' numbers chooses the queries.
    """
    from textwrap import fill

    from dmlbench.data.store import ImageStore
    from dmlbench.reporting.style import PAGE, legend_below, plt

    split = shown_split(data.plan)
    found = data.of_shown_runs(paths.neighbours(split), MOST_METHODS)
    methods = [fill(data.words[method], 18) for method in found["method"].unique()]
    store = ImageStore(data.plan.data_folder(data.plan.experiment_runs(data.experiment)[0]))
    index = store.index.set_index("id")
    blocks = _blocks(found, index, 2 * max(1, MOST_ROWS // len(methods)))
    columns, across = int(found["rank"].max()) + 1, min(2, len(blocks))
    side, rows = (PAGE - 1.4) / 2 / columns, -(-len(blocks) // across)  # inches of a thumbnail
    size = 1.4 + across * side * columns, rows * (0.3 + side * len(methods)) + 0.3
    figure, axes = plt.subplots(rows, across, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat[len(blocks) :]:
        axis.set_axis_off()
    for number, (query, subset, label) in enumerate(blocks):
        axis, where = axes.flat[number], names.part(split, subset, "")
        mine = found.query("query == @query and subset == @subset and label == @label")
        cells = {(0, 0): (query, _KINDS[0])}
        for row, (_, one) in enumerate(mine.groupby("method", sort=False)):
            cells |= {(row, n.rank): (n.id, _KINDS[1 if n.right else 2]) for n in one.itertuples()}
        _thumbnails(axis, store, cells, (len(methods), columns))
        title = f"{where}: {label} {index.loc[query, label]}".replace("_", " ")
        axis.set_title(title, loc="left")
        middle = [(SIDE + GAP) * (row + 0.5) + GAP / 2 for row in range(len(methods))]
        axis.set_yticks(middle, methods if number % across == 0 else [""] * len(methods))
    handles = [plt.Rectangle((0, 0), 1, 1, fill=False, **_frame(kind)) for kind in _KINDS]
    legend_below(figure, handles, _KINDS, handlelength=1.2, handleheight=1.2)
    shown = found[found["query"].isin([block[0] for block in blocks])]
    return figure, shown[["method", "subset", "label", "query", "rank", "id", "right"]]


def _blocks(found, index, at_most: int) -> list[tuple]:
    """Query, subset and label of each block: subsets take turns, each with its finest label."""
    turns = []
    for subset, mine in found.groupby("subset", sort=False):
        label = max(mine["label"].unique(), key=lambda c: index[c].nunique())
        turns.append([(q, subset, label) for q in mine["query"][mine["label"] == label].unique()])
    wanted = max(len(turn) for turn in turns)
    in_order = [b for b in chain.from_iterable(zip_longest(*turns)) if b is not None]
    return in_order[: min(at_most, max(wanted, len(turns)))]


def _frame(kind: str) -> dict:
    """The frame of a kind of thumbnail; the kinds differ without colour too."""
    from dmlbench.reporting.style import PALETTE

    frames = [("black", 0.5, "-"), (PALETTE[0], 1.3, "-"), (PALETTE[1], 1.3, (0, (1.4, 0.9)))]
    colour, width, line = frames[_KINDS.index(kind)]
    return {"edgecolor": colour, "linewidth": width, "linestyle": line}


def _thumbnails(axis, store, cells: dict, shape: tuple[int, int]) -> None:
    """Images and their kinds at (row, column) of a sheet of so many rows and columns."""
    import numpy as np
    import torch
    from matplotlib.patches import Rectangle
    from PIL import Image, ImageOps
    from torchvision.utils import make_grid

    place = {image: row for row, image in enumerate(store.index["id"])}
    sheet = np.full((*shape, SIDE, SIDE, 3), 255, dtype=np.uint8)
    for (row, column), (image, kind) in cells.items():
        pixels = store.image(place[image])
        picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert(
            "RGB"
        )
        # Small scans are enlarged pixel by pixel.
        small = max(picture.size) < SIDE
        how = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
        sheet[row, column] = ImageOps.pad(picture, (SIDE, SIDE), how, color="white")
        corner = [GAP - 0.5 + (SIDE + GAP) * at for at in (column, row)]
        axis.add_patch(Rectangle(corner, SIDE, SIDE, fill=False, **_frame(kind)))
    images = torch.from_numpy(sheet).flatten(0, 1).permute(0, 3, 1, 2)
    grid = make_grid(images, nrow=shape[1], padding=GAP, pad_value=255)
    axis.imshow(grid.permute(1, 2, 0).numpy(), interpolation="none")
    axis.set(xticks=[])
    axis.tick_params(length=0)
    axis.grid(False)
    axis.spines[:].set_visible(False)
