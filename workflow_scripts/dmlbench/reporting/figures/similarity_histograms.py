"""Histograms of how alike genuine and impostor pairs are."""

from dmlbench import paths
from dmlbench.reporting import names
from dmlbench.reporting.figures import embeddings_are_shown, register_figure, shown_files

_FILES = shown_files(paths.similarities)
#: A pair's similarity, for embeddings of unit length and for others.
_AXIS = {True: "cosine similarity", False: "minus squared distance / impostors' mean"}


@register_figure("Genuine and impostor pairs", applies=embeddings_are_shown, files=_FILES)
def similarities(data):
    """How alike pairs of one class (genuine) and of different classes (impostors) are, for one
    training seed, and the decidability d' of the two. The axis is the cosine where embeddings have
    unit length, else minus the squared distance over its mean for impostor pairs.
    """
    import pandas as pd

    from dmlbench.reporting.style import MOST_PANELS, PALETTE, legend_below, method_panels, plt, sns

    found = data.of_shown_runs(paths.similarities, MOST_PANELS)
    normalized = {m: bool(data.plan.recipes[m[0]]["normalize"]) for m in found["method"].unique()}
    groups = found.groupby(["method", "split", "subset", "label"], sort=False)
    table = pd.concat(
        _densities(mine, normalized[method]).assign(part=names.part(*part))
        for (method, *part), mine in groups
    )
    colours = {"genuine": PALETTE[0], "impostor": PALETTE[1]}

    def draw(axis, mine):
        axis.set(yticks=[])
        axis.grid(False)
        axis.spines["left"].set_visible(False)
        if mine["left"].iloc[0] == mine["right"].iloc[-1]:
            axis.axvline(mine["left"].iloc[0], color=colours["genuine"], linewidth=1.2)
            axis.text(
                0.5, 0.5, "all pairs are\nequally alike", transform=axis.transAxes, ha="center"
            )
            return
        edges = [*mine["left"], mine["right"].iloc[-1]]
        middles = (mine["left"] + mine["right"]) / 2
        for kind, line in (("impostor", "--"), ("genuine", "-")):
            # The bins are counted already: each is one value, weighed by its density.
            sns.histplot(
                x=middles, weights=mine[kind], bins=edges, element="step", color=colours[kind],
                alpha=0.3, linewidth=0.8, linestyle=line, ax=axis,
            )  # fmt: skip
        axis.set(xlim=(edges[0], edges[-1]))
        axis.locator_params(axis="x", nbins=3, steps=[1, 2, 5, 10])

    primes = ["" if pd.isna(d) else f", d' = {d:.2f}" for d in table["d_prime"]]
    figure = method_panels(data, table.assign(heading=table["part"] + primes), draw, 1.2)
    handles = [plt.Rectangle((0, 0), 1, 1, color=c, alpha=0.5, lw=0) for c in colours.values()]
    pairs = ["pairs of one class", "pairs of different classes"]
    title = " or ".join(dict.fromkeys(_AXIS[unit] for unit in normalized.values()))
    legend_below(figure, handles, pairs, title=title)
    return figure, table


def _densities(table, unit: bool):
    """Bin edges on the axis that is drawn, and the density of each kind of pair.

    Lengths of different embeddings cannot be compared, so the mean over impostors is the unit; over
    genuine pairs where there is one class. NaN where the bins have no width.
    """
    if unit:
        left, right = 1 + table["left"] / 2, 1 + table["right"] / 2
    else:
        centre = (table["left"] + table["right"]) / 2
        kind = "impostor" if table["impostor"].any() else "genuine"
        mean = -(centre * table[kind]).sum() / table[kind].sum()
        left, right = (table[edge] / mean if mean else table[edge] for edge in ("left", "right"))
    width = (right - left).where(right > left)
    densities = {kind: table[kind] / width for kind in ("genuine", "impostor")}
    return table[["method", "d_prime"]].assign(left=left, right=right, **densities)
