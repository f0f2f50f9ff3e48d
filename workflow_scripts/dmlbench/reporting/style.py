"""One look for all figures: seaborn's theme, a colour and a mark for each method, the panels."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill

# Figures are files: a user's choice of a window system, valid or not, must not matter.
os.environ["MPLBACKEND"] = "Agg"

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.colors import to_hex, to_rgba

from dmlbench.config import Plan
from dmlbench.files import replacing
from dmlbench.version import STAMP

#: Recipe, loss and sampler.
Method = tuple[str, str, str]
#: Okabe and Ito 2008 without their yellow, which is too pale on white, and three more: colours that
#: a colour-blind reader tells apart, together with the markers.
PALETTE = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00",
    "#56B4E9", "#000000", "#999999", "#882255",
]  # fmt: skip
MARKERS = "os^Dv<>pP*Xhd"
DASHES = [(0, (3.5, 1.2)), ":", "-.", (0, (6, 1, 1, 1, 1, 1))]
#: Inches: the width of a page's text, of a figure with one panel, and the height of a page's text.
PAGE, COLUMN, PAGE_HEIGHT = 6.3, 3.3, 9.0
#: Pixels of an inch of a PNG.
RESOLUTION = 200
#: Methods beside one another where each has a panel, and the most of a figure: two pages.
_ACROSS, MOST_PANELS = 4, 48
#: Losses of the papers keep their colour in every config; others take those that are left.
_FIRST = (
    "triplet", "margin", "multi_similarity", "proxy_nca", "pd_loss", "contrastive", "d_loss",
)  # fmt: skip


@contextmanager
def paper_style() -> Iterator[None]:
    """Seaborn's theme for papers; no text below 7 points; nothing of the user's matplotlibrc."""
    context = sns.plotting_context("paper", font_scale=0.85)
    lines = {"lines.linewidth": 1.2, "axes.linewidth": 0.6, "grid.linewidth": 0.5}
    sizes = {"size": 2.5, "width": 0.6, "pad": 2.5}
    ticks = {f"{axis}tick.major.{what}": size for axis in "xy" for what, size in sizes.items()}
    grid = {"axes.grid": True, "grid.color": ".9"}
    # Type 42 keeps the text of a PDF editable. Letters are as wide in the layout as in the PNG.
    files = {"pdf.fonttype": 42, "figure.dpi": RESOLUTION}
    settings = [context, sns.axes_style("ticks"), lines, ticks, grid, files]
    with plt.style.context(["default", *settings]):
        yield


def method_styles(plan: Plan) -> dict[Method, dict]:
    """How every method of a config is drawn, the same in all figures.

    A loss has one colour and one marker; with easy positives (EPS) its line is solid and its marker
    filled, without them they are dashed and open. The methods of a sweep go from light to dark.
    """
    methods = list(dict.fromkeys(m for some in plan.methods.values() for m in some))
    origin = {m: plan.swept[m].base if m in plan.swept else m for m in methods}
    easy: dict[str, dict[str, bool]] = {}  # of each loss, its samplers
    types: dict[str, str] = {}
    for method, (_, loss, sampler) in origin.items():
        positive = plan.samplers[method[2]]["positive"] or {}
        easy.setdefault(loss, {})[sampler] = positive.get("type") == "easy"
        types[loss] = plan.losses[method[1]]["type"]
    places = _places(types)
    styles = {}
    for method, base in origin.items():
        _, loss, sampler = base
        alike = [s for s in easy[loss] if easy[loss][s] == easy[loss][sampler]]
        # A loss without any EPS has nothing to be told apart from.
        solid = easy[loss][sampler] or not any(easy[loss].values())
        siblings = [m for m in methods if origin[m] == base]
        shades = sns.light_palette(PALETTE[places[loss] % len(PALETTE)], len(siblings) + 2)[2:]
        colour = to_hex(shades[siblings.index(method)])
        ways = ["-", *DASHES] if solid else DASHES
        marker = places[loss] if len(siblings) == 1 else siblings.index(method)
        styles[method] = {
            "color": colour,
            "linestyle": ways[alike.index(sampler) % len(ways)],
            "marker": MARKERS[marker % len(MARKERS)],
            "markerfacecolor": colour if solid else "white",
            "markeredgecolor": colour,
            "markeredgewidth": 1,
            "markersize": 3.8,
        }
    return styles


def _places(types: dict[str, str]) -> dict[str, int]:
    """A place in the palette for each loss of a config."""
    places: dict[str, int] = {}
    for loss, kind in types.items():
        if kind in _FIRST and _FIRST.index(kind) not in places.values():
            places[loss] = _FIRST.index(kind)
    free = iter(sorted(set(range(len(types) + len(_FIRST))) - set(places.values())))
    return {loss: places[loss] if loss in places else next(free) for loss in types}


def method_panels(
    data, methods: Iterable[Method], rows: Sequence[str], draw: Callable, height=None, legend=0.0
) -> plt.Figure:
    """Panels that each show one method and one row's part; long lists go on below.

    Args:
        data: The experiment's data.
        methods: The methods.
        rows: The parts in words: a row of panels each.
        draw: Draws a panel; called with the panel, the method and the row's part.
        height: Inches of a panel; None: as high as wide.
        legend: Inches to leave free on the right.
    """
    methods = list(methods)
    # Equal groups leave the fewest gaps: six methods are two rows of three.
    groups = -(-len(methods) // _ACROSS)
    across = -(-len(methods) // groups)
    lines, wide = len(rows) * groups, min(2.1, (PAGE - legend) / across)
    size = wide * across + legend, (height or wide - 0.1) * lines + 0.2 * groups
    figure, axes = plt.subplots(lines, across, figsize=size, squeeze=False, layout="constrained")
    for place, method in enumerate(methods):
        group, column = divmod(place, across)
        for line, row in enumerate(rows):
            axis = axes[group * len(rows) + line, column]
            draw(axis, method, row)
            title = fill(data.words[method], 22) if line == 0 else ""
            axis.set_title("\n".join(filter(None, [title, axis.get_title()])))
            axis.set(xlabel="", ylabel=row if column == 0 else "")
    for axis in axes[-len(rows) :, len(methods) - across * (groups - 1) :].flat:
        axis.set_axis_off()
    return figure


def method_curves(
    data, table: pd.DataFrame, x: str, lines: dict[Method, dict] | None = None, bars=False, **axes
) -> plt.Figure:
    """A panel for each value of the column ``part``, in it a line for each method.

    A line is the mean over seeds; a band or bars go from the lowest seed to the highest. A band has
    the line's dashes at its edges: they tell apart methods of one colour.

    Args:
        data: The experiment's data.
        table: A row for each method, part, seed and ``x``, with ``value``.
        x: The column that the horizontal axis shows.
        lines: Label and style of each line, where they are not those of the method.
        bars: Whether to draw bars, not a band.
        axes: Settings of all panels, such as ``xlabel``.
    """
    lines = lines or {m: style | {"label": data.words[m]} for m, style in data.styles.items()}
    across = min(2, table["part"].nunique())
    panels = sns.FacetGrid(
        table, col="part", col_order=table.groupby("part", observed=True, sort=False).groups,
        col_wrap=across, height=2.1, aspect=(COLUMN, PAGE / 2)[across - 1] / 2.1, sharex=False,
        sharey=False,
    )  # fmt: skip
    style = {"capsize": 1.5, "elinewidth": 0.7, "capthick": 0.7} if bars else {"linewidth": 0.4}
    for part, axis in panels.axes_dict.items():
        for method, mine in table[table["part"] == part].groupby("method", sort=False):
            look = lines[method]
            sns.lineplot(
                mine, x=x, y="value", errorbar=("pi", 100), err_style="bars" if bars else "band",
                err_kws=style, ax=axis, legend=False, markevery=max(1, mine[x].nunique() // 10),
                **look,
            )  # fmt: skip
            if not bars:
                axis.collections[-1].set(
                    alpha=None, facecolor=to_rgba(look["color"], 0.13), edgecolor=look["color"],
                    linestyle=look["linestyle"],
                )  # fmt: skip
        axis.set(title=part, **axes)
    panels.figure.set_layout_engine("constrained")
    legend_below(panels.figure, *axis.get_legend_handles_labels())
    return panels.figure


def legend_below(figure: plt.Figure, handles: list, labels: list[str], **how: object) -> None:
    """One legend for all panels, below them, in as many columns as the width holds."""
    wide = 0.6 + 0.055 * max(map(len, labels))  # inches
    settings = {
        "loc": "outside lower center",
        "frameon": False,
        "borderpad": 0,
        "handlelength": 2.8,
    }
    columns = max(1, min(len(labels), int(figure.get_figwidth() / wide)))
    figure.legend(handles, labels, ncols=columns, **settings | how)


def save(figure: plt.Figure, out: Sequence[Path]) -> None:
    """Write the figure under each name, with the benchmark version in its metadata.

    Without time stamps, so that equal figures are equal bytes.
    """
    # The layout is found once: neither file needs it again.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    # Points are pictures inside the PDF; in figures of several pages coarser ones do.
    fine = 300 if figure.get_figheight() < PAGE_HEIGHT else 150
    for path in out:
        pdf = path.suffix == ".pdf"
        dated, described = ("CreationDate", "Subject") if pdf else ("Software", "Description")
        metadata = {dated: None, described: f"dmlbench. {STAMP}"}
        with replacing(path) as temporary:
            figure.savefig(temporary, metadata=metadata, dpi=fine if pdf else RESOLUTION)
    plt.close(figure)
