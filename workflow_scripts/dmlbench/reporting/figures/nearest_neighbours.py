"""Queries and their nearest neighbours, the same queries for every method."""

from itertools import chain, zip_longest

from dmlbench import paths
from dmlbench.reporting import names
from dmlbench.reporting.figures import embeddings_are_shown, register_figure, shown_files

#: Methods that a figure shows at most, and rows of thumbnails.
MOST_METHODS, MOST_ROWS = 20, 20
#: Pixels of a thumbnail's side, of the space around it, and from one to the next.
SIDE, GAP = 112, 14
STEP = SIDE + GAP


@register_figure(
    "Nearest neighbours", applies=embeddings_are_shown, files=shown_files(paths.neighbours)
)
def retrieval(data):
    """The same queries for every method, one training seed: the query and its nearest neighbours,
    the nearest first. A neighbour of the query's class has a solid frame, one of another class a
    broken frame. A hash of the images' numbers chooses the queries.
    """
    from textwrap import fill

    from dmlbench.data.store import ImageStore
    from dmlbench.reporting.style import PAGE, PALETTE, legend_below, plt

    found = data.of_shown_runs(paths.neighbours, MOST_METHODS)
    methods = [fill(data.words[method], 18) for method in found["method"].unique()]
    store = ImageStore(data.plan.data_folder(data.plan.experiment_runs(data.experiment)[0]))
    index = store.index.set_index("id")
    blocks = _blocks(found, index, 2 * max(1, MOST_ROWS // len(methods)))
    columns, across = int(found["rank"].max()) + 1, min(2, len(blocks))
    side, rows = (PAGE - 1.4) / 2 / columns, -(-len(blocks) // across)  # inches of a thumbnail
    size = 1.4 + across * side * columns, rows * (0.3 + side * len(methods)) + 0.3
    figure, axes = plt.subplots(rows, across, figsize=size, squeeze=False, layout="constrained")
    # The kinds differ without colour too.
    looks = [("black", 0.5, "-"), (PALETTE[0], 1.3, "-"), (PALETTE[1], 1.3, (0, (1.4, 0.9)))]
    frames = [{"fill": False, "ec": c, "linewidth": w, "linestyle": line} for c, w, line in looks]
    for axis in axes.flat[len(blocks) :]:
        axis.set_axis_off()
    for number, (query, subset, label) in enumerate(blocks):
        axis = axes.flat[number]
        mine = found.query("query == @query and subset == @subset and label == @label")
        cells = {(0, 0): (query, frames[0])}
        for row, (_, one) in enumerate(mine.groupby("method", sort=False)):
            cells |= {(n.rank, row): (n.id, frames[1 if n.right else 2]) for n in one.itertuples()}
        _draw_thumbnails(axis, store, cells, (columns, len(methods)))
        where = names.part(mine["split"].iloc[0], subset, "")
        name = names.class_name(data.plan, data.dataset, str(index.loc[query, label]))
        axis.set_title(f"{where}: {label}".replace("_", " ") + f" {name}", loc="left")
        middle = [STEP * (row + 0.5) + GAP / 2 for row in range(len(methods))]
        axis.set_yticks(middle, methods if number % across == 0 else [""] * len(methods))
    handles = [plt.Rectangle((0, 0), 1, 1, **frame) for frame in frames]
    kinds = ["query", "neighbour of its class", "of another class"]
    legend_below(figure, handles, kinds, handlelength=1.2, handleheight=1.2)
    shown = found[found["query"].isin([block[0] for block in blocks])]
    return figure, shown[["method", "subset", "label", "query", "rank", "id", "right"]]


def _blocks(found, index, at_most: int) -> list[tuple]:
    """Query, subset and label of each block: subsets take turns, each with its finest label."""
    turns = []
    for subset, mine in found.groupby("subset", sort=False):
        label = max(mine["label"].unique(), key=lambda c: index[c].nunique())
        turns.append([(q, subset, label) for q in mine["query"][mine["label"] == label].unique()])
    wanted = max(len(turns), *map(len, turns))
    in_order = [b for b in chain.from_iterable(zip_longest(*turns)) if b is not None]
    return in_order[: min(at_most, wanted)]


def _draw_thumbnails(axis, store, cells: dict, shape: tuple[int, int]) -> None:
    """Images and their frames at (column, row) of a grid of so many columns and rows."""
    import torch
    from matplotlib.patches import Rectangle
    from torchvision.transforms.functional import pil_to_tensor
    from torchvision.utils import make_grid

    place = {image: row for row, image in enumerate(store.index["id"])}
    columns, rows = shape
    thumbnails = torch.full((rows, columns, 3, SIDE, SIDE), 255, dtype=torch.uint8)
    for (column, row), (image, frame) in cells.items():
        thumbnails[row, column] = pil_to_tensor(store.thumbnail(place[image], SIDE))
        corner = GAP + STEP * column - 0.5, GAP + STEP * row - 0.5
        axis.add_patch(Rectangle(corner, SIDE, SIDE, **frame))
    grid = make_grid(thumbnails.flatten(0, 1), nrow=columns, padding=GAP, pad_value=255)
    axis.imshow(grid.permute(1, 2, 0).numpy(), interpolation="none")
    axis.set(xticks=[])
    axis.tick_params(length=0)
    axis.grid(False)
    axis.spines[:].set_visible(False)
