"""Embeddings of the test images in the plane, methods side by side."""

from dmlbench import paths
from dmlbench.neighbours.knn import tie_keys
from dmlbench.reporting import names
from dmlbench.reporting.figures import embeddings_are_shown, register_figure, shown_files

#: So many classes are told apart; of more, so many are shown in colour among the others in gray.
CLASSES = 8
#: The images of all others: no class has this name.
OTHERS = ""
_NOT_LABELS = {"id", "path", "split", "subset", "role", "x", "y", "method", "seed", "part"}
_NOT_LABELS |= {"heading"}
_FILES = shown_files(paths.projection)


@register_figure("Embedding", applies=embeddings_are_shown, files=_FILES, numbers=False)
def embedding(data):
    """The test images of one training seed, coloured by the finest label where it has few classes.
    Where it has many, a hash chooses those in colour, and the others are gray. Embeddings in the
    plane are shown as they are, others through t-SNE. Images with equal embeddings are one point.
    """
    return draw_plane(data), None


def draw_plane(data, split: str = ""):
    """A panel for each method and subset, and one legend on the right."""
    from dmlbench.reporting.style import MARKERS, MOST_PANELS, PALETTE, method_panels, plt, sns

    table = data.of_shown_runs(paths.projection, MOST_PANELS, split)
    table = table.sort_values("subset", kind="stable", ignore_index=True)
    where = zip(table["split"], table["subset"], strict=True)
    table["part"] = [names.part(*one, "") for one in where]
    several = table["part"].nunique() > 1
    table["heading"] = table["part"] if several else ""
    table["_kind"] = OTHERS
    looks, legend = {}, []
    for part, mine in table.groupby("part", sort=False):
        label, chosen = _classes(data, mine.drop(columns="_kind"))
        shown = mine[label].isin(chosen)
        table.loc[mine.index[shown], "_kind"] = mine.loc[shown, label].astype(str)
        colours, markers = {OTHERS: "0.82"}, {OTHERS: "o"}
        for name, colour, marker in zip(chosen, PALETTE, MARKERS, strict=False):
            colours[str(name)], markers[str(name)] = colour, marker
        looks[part] = {"palette": colours, "markers": markers}
        title = f"{label} ({part})" if several else label
        legend.append(plt.Line2D([], [], linestyle="", label=title.replace("_", " ")))
        for name in colours if not shown.all() else list(colours)[1:]:
            text = names.class_name(data.plan, data.dataset, name) or "others"
            text = text if len(text) <= 16 else f"{text[:14]}…"
            look = {"color": colours[name], "marker": markers[name], "linestyle": ""}
            legend.append(plt.Line2D([], [], markersize=5, label=text, **look))

    def draw(axis, mine):
        part, method = mine[["part", "method"]].iloc[0]
        # The others first, so that they lie below the classes.
        mine = mine.sort_values("_kind", key=lambda kind: kind != OTHERS, kind="stable")
        # Thousands of points as vectors would be files that viewers choke on.
        sns.scatterplot(
            mine, x="x", y="y", hue="_kind", style="_kind", legend=False, rasterized=True,
            linewidth=0, s=max(2, min(7, 2500 / len(mine))), ax=axis, **looks[part],
        )  # fmt: skip
        # All parts of a method in one frame.
        axis.update_datalim(table.loc[table["method"] == method, ["x", "y"]])
        axis.autoscale_view()
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(True)
        axis.text(0.03, 0.03, _coinciding(mine), transform=axis.transAxes)

    figure = method_panels(data, table, draw, 2.3)
    figure.legend(handles=legend, loc="outside right center", handlelength=1)
    return figure


def _coinciding(mine) -> str:
    """How many points most images lie on, in words; nothing where most have one of their own."""
    images, points = len(mine), len(mine[["x", "y"]].drop_duplicates())
    if 2 * points > images:
        return ""
    return f"{images} images on {points} points" if points > 1 else f"all {images} on one point"


def _classes(data, table) -> tuple[str, list]:
    """The label that colours the points, and its classes in colour.

    The label is the finest where it has few classes (what a collapse hides), else the trained one.
    Classes are all, or those of the smallest hashes among the larger half.
    """
    import numpy as np

    label = max((c for c in table if c not in _NOT_LABELS), key=lambda c: table[c].nunique())
    if table[label].nunique() > CLASSES:
        label = data.plan.facts(data.dataset).train_label
    counts = table[label].value_counts()
    if len(counts) <= CLASSES:
        return label, sorted(counts.index)
    many = np.sort(counts[counts >= counts.median()].index.to_numpy())
    return label, sorted(many[np.argsort(tie_keys(np.arange(len(many))))[:CLASSES]])
