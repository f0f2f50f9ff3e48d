"""Histograms of how alike genuine and impostor pairs are."""

from dmlbench import paths
from dmlbench.reporting import names
from dmlbench.reporting.figures import (
    embeddings_are_shown,
    register_figure,
    shown_files,
    shown_runs,
    shown_split,
)

#: Methods that a figure shows at most, on two pages.
MOST = 48


@register_figure(
    "similarities",
    title="Genuine and impostor pairs",
    caption=(
        "How alike pairs of one class (genuine) and of different classes (impostors) are, for one "
        "training seed, and the decidability d' of the two. The axis is the cosine where "
        "embeddings have unit length, else minus the squared distance over its mean for impostor "
        "pairs."
    ),
    applies=embeddings_are_shown,
    files=shown_files(paths.similarities),
)
def similarities(data):
    """A histogram for each method and part: genuine against impostor pairs, with d'.

    For unit vectors the similarity is the cosine. For others it is minus the squared distance, in
    units of the mean over impostor pairs: lengths of different embeddings cannot be compared.
    """
    import pandas as pd

    from dmlbench.reporting.style import PALETTE, legend_below, method_panels, plt

    file = paths.similarities(shown_split(data.plan))
    runs = shown_runs(data.plan, data.experiment)[:MOST]
    tables, axes_shown = [], {}
    for method, run, found in data.of_runs(runs, file):
        unit = data.plan.recipes[run.recipe]["normalize"]
        axes_shown["cosine similarity" if unit else "minus squared distance / impostors' mean"] = 0
        for part, table in found.groupby(["split", "subset", "label"], sort=False):
            same = {"method": [method] * len(table), "part": names.part(*part)}
            tables.append(_densities(table, unit).assign(**same))
    table = pd.concat(tables)
    words = {method: data.words[method] for method in dict.fromkeys(table["method"])}
    parts = list(dict.fromkeys(table["part"]))
    colours = {"genuine": PALETTE[0], "impostor": PALETTE[1]}

    def draw(axis, method, part):
        _histogram(axis, table[(table["method"] == method) & (table["part"] == part)], colours)

    figure = method_panels(words, parts, draw, height=1.15)
    handles = [plt.Rectangle((0, 0), 1, 1, color=c, alpha=0.5, lw=0) for c in colours.values()]
    pairs = ["pairs of one class", "pairs of different classes"]
    legend_below(figure, handles, pairs, title=" or ".join(axes_shown))
    return figure, table


def _densities(table, unit: bool):
    """Bin edges on the axis that is drawn, and the density of each kind of pair."""
    import pandas as pd

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


def _histogram(axis, table, colours: dict[str, str]) -> None:
    import pandas as pd
    import seaborn as sns

    edges = [*table["left"], table["right"].iloc[-1]]
    for kind, line in (("impostor", "--"), ("genuine", "-")):
        sns.histplot(
            x=(table["left"] + table["right"]) / 2, weights=table[kind], bins=edges, element="step",
            color=colours[kind], alpha=0.3, linewidth=0.8, linestyle=line, ax=axis,
        )  # fmt: skip
    value = table["d_prime"].iloc[0]
    axis.set(title=f"d' = {value:.2f}" if pd.notna(value) else "", yticks=[])
    axis.set_xlim(edges[0], edges[-1])
    axis.grid(False)
    axis.locator_params(axis="x", nbins=3, steps=[1, 2, 5, 10])
    sns.despine(ax=axis, left=True)
