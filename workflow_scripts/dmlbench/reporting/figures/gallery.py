"""Queries and their nearest neighbours, the same queries for every method."""

from itertools import chain, zip_longest

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.collections import PatchCollection
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
    "query": {"edgecolor": "black", "linestyle": "-", "linewidth": 0.5},
    "right": {"edgecolor": PALETTE[0], "linestyle": "-", "linewidth": 1.3},
    "wrong": {"edgecolor": PALETTE[1], "linestyle": (0, (1.4, 0.9)), "linewidth": 1.3},
}


def retrieval(scene: Scene) -> tuple[plt.Figure, pd.DataFrame]:
    """A block for each query, two across, with a row for each method (EPS figure 3)."""
    runs = shown_runs(scene.plan, scene.experiment)[:MOST_METHODS]
    store = ImageStore(scene.plan.data_folder(runs[0]))
    index = store.index.set_index("id")
    tables = scene.of_runs(runs, paths.neighbours(shown_split(scene.plan)))
    found = pd.concat([t.assign(method=pd.Series([m] * len(t))) for m, _, t in tables])
    blocks = _queries(found, index, 2 * max(1, MOST_ROWS // len(tables)))
    page = _Page.of(scene, found, len(blocks))
    row_of = {image: row for row, image in enumerate(store.index["id"])}
    for number, (query, subset, label) in enumerate(blocks):
        where = names.part(shown_split(scene.plan), subset, "")
        title = f"{where}: {label} {index.loc[query, label]}".replace("_", " ")
        page.block(number, title, store.image(row_of[query]))
        mine = found[
            (found["query"] == query) & (found["subset"] == subset) & (found["label"] == label)
        ]
        for n in mine.itertuples():
            state = "right" if n.right else "wrong"
            page.thumbnail(number, n.method, n.rank, store.image(row_of[n.id]), state)
    shown = found[found["query"].isin([block[0] for block in blocks])]
    return page.finished(), shown[["method", "subset", "label", "query", "rank", "id", "right"]]


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


class _Page:
    """The figure: one picture that all thumbnails are pasted into, and frames around them.

    Hundreds of pictures in a PDF take seconds to write and to open.
    """

    def __init__(self, words: dict, across: int, blocks: int) -> None:
        self.words, self.across = words, across
        self.left = 0.06 * max(map(len, words.values()))  # inches of a letter
        self.side = (PAGE - self.left - BETWEEN) / (2 * across)
        self.columns = min(2, blocks)
        self.block_height = TITLE + self.side * len(words)
        width = self.left + self.columns * across * self.side + (self.columns - 1) * BETWEEN
        height = self.block_height * -(-blocks // self.columns) + TITLE
        self.figure = plt.figure(figsize=(width, height))
        self.axis = self.figure.add_axes((0, 0, 1, 1))
        self.axis.set(xlim=(0, width), ylim=(height, 0))
        self.axis.set_axis_off()
        size = round(width * RESOLUTION), round(height * RESOLUTION)
        self.canvas = Image.new("RGB", size, "white")
        self.frames: dict[str, list[Rectangle]] = {state: [] for state in FRAMES}

    @classmethod
    def of(cls, scene: Scene, found: pd.DataFrame, blocks: int) -> "_Page":
        """The page for the methods of ``found``."""
        methods = dict.fromkeys(found["method"])
        return cls({m: scene.words[m] for m in methods}, int(found["rank"].max()) + 1, blocks)

    def block(self, number: int, title: str, query: np.ndarray) -> None:
        """Begin a block: its title, its query, and the names of the methods beside the first."""
        x, y = self._corner(number)
        self.axis.text(x + AROUND, y - 0.06, title, fontsize=7)
        self._paste(query, x, y, "query")
        for line, words in enumerate(self.words.values()) if number % self.columns == 0 else ():
            middle = y + (line + 0.5) * self.side
            self.axis.text(x - 0.06, middle, words, fontsize=7, ha="right", va="center")

    def thumbnail(self, number: int, method, rank: int, pixels: np.ndarray, state: str) -> None:
        """A neighbour: its block, the row of its method, its rank from 1."""
        x, y = self._corner(number)
        line = list(self.words).index(method)
        self._paste(pixels, x + rank * self.side, y + line * self.side, state)

    def finished(self) -> plt.Figure:
        """The figure, with what the frames mean below it."""
        left, right = self.axis.get_xlim()
        bottom, top = self.axis.get_ylim()
        self.axis.imshow(
            self.canvas, extent=(left, right, bottom, top), aspect="auto", interpolation="none"
        )
        for state, frames in self.frames.items():
            self.axis.add_collection(PatchCollection(frames, facecolor="none", **FRAMES[state]))
        words = {"query": "query", "right": "neighbour of its class", "wrong": "of another class"}
        handles = [
            Rectangle((0, 0), 1, 1, fill=False, label=words[state], **style)
            for state, style in FRAMES.items()
        ]
        self.axis.legend(
            handles=handles, loc="lower center", ncols=3, frameon=False, handlelength=1.2,
            handleheight=1.2, borderpad=0, borderaxespad=0.2,
        )  # fmt: skip
        return self.figure

    def _corner(self, number: int) -> tuple[float, float]:
        """Where a block begins."""
        column, level = number % self.columns, number // self.columns
        x = self.left + column * (self.across * self.side + BETWEEN)
        return x, level * self.block_height + TITLE

    def _paste(self, pixels: np.ndarray, x: float, y: float, state: str) -> None:
        """An image in the middle of a square, with its frame."""
        picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        scale = (self.side - 2 * AROUND) / max(picture.size)
        wide, high = picture.width * scale, picture.height * scale
        size = max(1, round(wide * RESOLUTION)), max(1, round(high * RESOLUTION))
        # Small scans stay as they are, pixel by pixel.
        enlarged = size[0] > picture.width
        how = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
        left, top = x + (self.side - wide) / 2, y + (self.side - high) / 2
        corner = round(left * RESOLUTION), round(top * RESOLUTION)
        self.canvas.paste(picture.convert("RGB").resize(size, how), corner)
        self.frames[state].append(Rectangle((left, top), wide, high))
