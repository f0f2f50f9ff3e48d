"""One look for all figures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_hex, to_rgb

from dmlbench.config import Plan
from dmlbench.files import replacing
from dmlbench.version import STAMP

#: Okabe and Ito 2008 without their yellow, which a white page swallows, and two more: what a
#: colour-blind reader tells apart, with markers.
PALETTE = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00",
    "#56B4E9", "#000000", "#999999", "#882255",
]  # fmt: skip
MARKERS = "os^Dv<>pP*Xhd"
DASHES = [(0, (3.5, 1.2)), ":", "-.", (0, (6, 1, 1, 1, 1, 1))]
#: Inches, as the usual templates have them: a text column, a page, and the height of a page.
COLUMN, PAGE = 3.35, 6.9
PAGE_HEIGHT = 9.0
#: Losses of the papers keep their colour in every config; others take those that are left.
_FIRST = (
    "triplet", "margin", "multi_similarity", "proxy_nca", "pd_loss", "contrastive", "d_loss",
)  # fmt: skip


@contextmanager
def paper_style() -> Iterator[None]:
    """Small sans-serif type, thin axes, editable text in PDF."""
    settings = {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "axes.axisbelow": True,
        "grid.alpha": 0.3,
        "grid.linewidth": 0.4,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.5,
        "pdf.fonttype": 42,
    }
    with plt.rc_context(settings):
        yield


def method_styles(plan: Plan) -> dict[tuple[str, str, str], dict]:
    """How every method of a config is drawn, the same in all figures.

    A loss has one colour and one marker; with easy positives (EPS) its line is solid and its marker
    filled, without them they are dashed and open. What a sweep makes of a method goes from light to
    dark.
    """
    methods = list(dict.fromkeys(m for some in plan.methods.values() for m in some))
    origin = {m: plan.swept[m].base if m in plan.swept else m for m in methods}
    of_loss: dict[str, dict[str, bool]] = {}
    types: dict[str, str] = {}
    for method, (_, loss, sampler) in origin.items():
        positive = plan.samplers[method[2]]["positive"] or {}
        of_loss.setdefault(loss, {})[sampler] = positive.get("type") == "easy"
        types[loss] = plan.losses[method[1]]["type"]
    places = _places(types)
    styles = {}
    for method, base in origin.items():
        _, loss, sampler = base
        place, samplers = places[loss], of_loss[loss]
        alike = [s for s in samplers if samplers[s] == samplers[sampler]]
        number = alike.index(sampler)
        # A loss without any EPS has nothing to be told apart from.
        solid = samplers[sampler] or not any(samplers.values())
        siblings = [m for m in methods if origin[m] == base]
        dark = (siblings.index(method) + 1) / len(siblings)
        colour = _lighter(PALETTE[place % len(PALETTE)], 0.65 * (1 - dark))
        ways = ["-", *DASHES] if solid else DASHES
        marker = place if len(siblings) == 1 else siblings.index(method)
        styles[method] = {
            "color": colour,
            "linestyle": ways[number % len(ways)],
            "marker": MARKERS[marker % len(MARKERS)],
            "markerfacecolor": colour if solid else "white",
            "markeredgecolor": colour,
        }
    return styles


def _places(types: dict[str, str]) -> dict[str, int]:
    """A place in the palette for each loss of a config."""
    places: dict[str, int] = {}
    for loss, kind in types.items():
        if kind in _FIRST and _FIRST.index(kind) not in places.values():
            places[loss] = _FIRST.index(kind)
    taken = set(places.values())
    free = iter(n for n in range(len(types) + len(_FIRST)) if n not in taken)
    for loss in types:
        if loss not in places:
            places[loss] = next(free)
    return places


def _lighter(colour: str, share: float) -> str:
    """``colour`` with a share of white."""
    return to_hex([c + (1 - c) * share for c in to_rgb(colour)])


def grid(axis: plt.Axes) -> None:
    """Faint lines to read values by, and no frame where there is no scale."""
    axis.grid(True)
    axis.spines[["top", "right"]].set_visible(False)


def legend_below(figure: plt.Figure, handles: list, labels: list[str], across: int) -> None:
    """One legend for all panels, below them."""
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(across, len(labels)),
        frameon=False,
        borderpad=0,
        handlelength=2.8,
        columnspacing=1.2,
    )


def save(figure: plt.Figure, out: Sequence[Path]) -> None:
    """Write the figure under each name, with the benchmark version in its metadata.

    Without time stamps, so that equal figures are equal.
    """
    # The layout is found once: neither file needs it again.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    # What is drawn as points is a picture inside the PDF, one of the whole page for each panel: for
    # figures of several pages a coarser one does.
    fine = 300 if figure.get_figheight() < PAGE_HEIGHT else 150
    for path in out:
        pdf = path.suffix == ".pdf"
        dated, described = ("CreationDate", "Subject") if pdf else ("Software", "Description")
        metadata = {dated: None, described: f"dmlbench. {STAMP}"}
        with replacing(path) as temporary:
            figure.savefig(temporary, metadata=metadata, dpi=fine if pdf else 200)
    plt.close(figure)
