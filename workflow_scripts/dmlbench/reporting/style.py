"""One look for all figures: seaborn's theme, a colour and a mark for each method, the panels."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from math import ceil
from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.colors import to_hex, to_rgba

from dmlbench.config import Plan
from dmlbench.reporting.fonts import FONT

#: Recipe, loss and sampler.
Method = tuple[str, str, str]
#: Okabe and Ito 2008 without the yellow, too pale on white, and three more: together with the
#: markers, a colour-blind reader tells them apart.
PALETTE = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00",
    "#56B4E9", "#000000", "#999999", "#882255",
]  # fmt: skip
MARKERS = "os^Dv<>pP*Xhd"
DASHES = [(0, (3.5, 1.2)), ":", "-.", (0, (6, 1, 1, 1, 1, 1))]
#: Inches: the width of a page's text, that of a figure with one panel, and the height of a page
#: without a caption. The PDF shrinks a larger figure with its text.
PAGE, COLUMN, PAGE_HEIGHT = 6.3, 3.3, 8.4
#: The most methods that have panels of their own in a figure.
MOST_PANELS = 48
#: Losses of the papers keep their colour in every config; others take those that are left.
_FIRST = (
    "triplet", "margin", "multi_similarity", "proxy_nca", "pd_loss", "contrastive", "d_loss",
)  # fmt: skip
#: Type 42 keeps the text of a PDF editable; a name with dollar signs is no formula.
_THEME = {
    "lines.linewidth": 1.2, "axes.linewidth": 0.6, "axes.grid": True, "grid.color": ".9",
    "grid.linewidth": 0.5,
    "xtick.major.size": 2.5, "xtick.major.width": 0.6, "xtick.major.pad": 2.5,
    "ytick.major.size": 2.5, "ytick.major.width": 0.6, "ytick.major.pad": 2.5,
    "legend.frameon": False, "legend.borderpad": 0, "legend.handlelength": 2.8,
    "pdf.fonttype": 42, "text.parse_math": False, "font.family": FONT,
}  # fmt: skip


def paper_style() -> AbstractContextManager:
    """Seaborn's theme for papers, with text of 7 points or more, whatever a user's matplotlibrc."""
    context, ticks = sns.plotting_context("paper", font_scale=0.85), sns.axes_style("ticks")
    return plt.style.context(["default", context, ticks, _THEME])


def method_styles(plan: Plan) -> dict[Method, dict]:
    """How every method of a config is drawn in all figures.

    A loss has one colour and one marker. With easy positives (EPS), lines are solid and markers
    filled; without, they are dashed and open. The methods of a sweep go from light to dark.
    """
    methods = list(dict.fromkeys(m for some in plan.methods.values() for m in some))
    origin = {m: plan.swept[m].base if m in plan.swept else m for m in methods}
    places = _places({base[1]: plan.losses[m[1]]["type"] for m, base in origin.items()})
    easy: dict[str, dict[str, bool]] = {loss: {} for loss in places}  # of each loss, its samplers
    for method, (_, loss, sampler) in origin.items():
        positive = plan.samplers[method[2]]["positive"] or {}
        easy[loss][sampler] = positive.get("type") == "easy"
    styles = {}
    for method, base in origin.items():
        _, loss, sampler = base
        alike = [s for s in easy[loss] if easy[loss][s] == easy[loss][sampler]]
        # A loss without any EPS has nothing to be told apart from.
        solid = easy[loss][sampler] or not any(easy[loss].values())
        # From the other end: the first dashes are close to solid, and others of the loss have them.
        ways = ["-", *reversed(DASHES)] if solid else DASHES
        siblings = [m for m in methods if origin[m] == base]
        number = siblings.index(method)
        shades = sns.light_palette(PALETTE[places[loss] % len(PALETTE)], len(siblings) + 2)[2:]
        colour = to_hex(shades[number])
        styles[method] = {
            "color": colour,
            "linestyle": ways[alike.index(sampler) % len(ways)],
            "marker": MARKERS[(places[loss] if len(siblings) == 1 else number) % len(MARKERS)],
            "markerfacecolor": colour if solid else "white",
            "markeredgecolor": colour,
            "markeredgewidth": 1,
            "markersize": 3.8,
        }
    return styles


def _places(types: dict[str, str]) -> dict[str, int]:
    """A place in the palette for each loss of a config."""
    first = {kind: loss for loss, kind in reversed(types.items()) if kind in _FIRST}
    places = {loss: _FIRST.index(kind) for kind, loss in first.items()}
    free = iter(sorted(set(range(len(types) + len(_FIRST))) - set(places.values())))
    return {loss: places[loss] if loss in places else next(free) for loss in types}


def panels(table: pd.DataFrame, column: str, across: int, height: float, draw: Callable, **axes):
    """A figure with a panel for each value of ``column``, which is its title, in the table's order.

    ``across`` panels are side by side, each ``height`` inches high. ``draw`` gets a panel and its
    rows. ``axes`` are settings of all panels, such as ``xlabel``.
    """
    groups = list(table.groupby(column, sort=False, observed=True))
    across = min(across, len(groups))
    rows = ceil(len(groups) / across)
    size = PAGE if across > 1 else COLUMN, rows * height
    figure, grid = plt.subplots(rows, across, figsize=size, squeeze=False, layout="constrained")
    for axis in grid.flat[len(groups) :]:
        axis.remove()
    for axis, (title, mine) in zip(grid.flat, groups, strict=False):
        axis.spines[["top", "right"]].set_visible(False)
        draw(axis, mine)
        axis.set(title=title, **axes)
    return figure


def method_panels(data, table: pd.DataFrame, draw: Callable, height: float) -> plt.Figure:
    """A panel for each method and part; its title is the method and the column ``heading``.

    A panel is at most ``height`` inches high, and lower where a page would not hold all.
    """
    words = table["method"].map({m: fill(words, 18) for m, words in data.words.items()})
    title = (words + "\n" + table["heading"]).str.strip()
    # Equal rows leave the fewest gaps: six methods are two rows of three.
    across = ceil(words.nunique() / ceil(words.nunique() / 4))
    order = table.groupby("part", sort=False).ngroup().argsort(kind="stable")
    table = table.assign(title=title).iloc[order]
    rows = ceil(table["title"].nunique() / across)
    # About square beside a legend on the right; on one page with a legend below.
    height = min(height, 0.3 + (PAGE - 1.3) / across, max(1.1, (PAGE_HEIGHT - 0.5) / rows))
    return panels(table, "title", across, height, draw, xlabel="", ylabel="")


def method_curves(data, table, x: str, lines: dict | None = None, bars=False, **axes):
    """A panel for each value of the column ``part``, in it a line for each method.

    A line is the mean over seeds; a band or bars go from the lowest seed to the highest. The edges
    of a band have the line's dashes, which tell apart methods of one colour. ``table`` has a row
    for each method, part, seed and ``x``, with the column ``value``. ``lines`` has the label and
    style of each line where they are not the method's; ``axes`` are as in :func:`panels`.
    """
    lines = lines or {m: data.styles[m] | {"label": words} for m, words in data.words.items()}
    kind = "bars" if bars else "band"
    error = {"capsize": 1.5, "elinewidth": 0.7, "capthick": 0.7} if bars else {"linewidth": 0.4}

    def draw(axis, table):
        for method, mine in table.groupby("method", sort=False):
            look = lines[method]
            sns.lineplot(
                mine, x=x, y="value", errorbar=("pi", 100), err_style=kind, err_kws=error, ax=axis,
                legend=False, markevery=max(1, mine[x].nunique() // 10), **look,
            )  # fmt: skip
            if not bars:
                edge = {"edgecolor": look["color"], "linestyle": look["linestyle"]}
                axis.collections[-1].set(alpha=None, facecolor=to_rgba(look["color"], 0.13), **edge)

    figure = panels(table, "part", 2, 1.9, draw, **axes)
    legend_below(figure, *figure.axes[0].get_legend_handles_labels())
    return figure


def legend_below(figure: plt.Figure, handles: list, labels: list[str], **how: object) -> None:
    """One legend below all panels, in as many columns as fit; the figure grows by it."""
    labels = [fill(label, 60) for label in labels]
    wide = 0.6 + 0.062 * max(len(line) for label in labels for line in label.split("\n"))  # inches
    columns = max(1, min(len(labels), int(figure.get_figwidth() / wide)))
    rows = sum(label.count("\n") + 1 for label in labels) / columns
    figure.set_figheight(figure.get_figheight() + 0.16 * rows)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **how)
