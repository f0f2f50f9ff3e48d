"""Embeddings in the plane, methods side by side."""

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.knn import tie_keys
from dmlbench.reporting import names
from dmlbench.reporting.figures import (
    embeddings_are_shown,
    register_figure,
    shown_files,
    shown_runs,
    shown_split,
)

#: So many classes are told apart; of more, so many are shown in colour among the others in gray.
CLASSES = 8
OTHERS = "others"
_NOT_LABELS = {"id", "path", "split", "subset", "x", "y", "method"}
_TEST, _TRAIN = shown_files(paths.projection), shown_files(paths.projection, "train")


def _trains_and_tests(plan: Plan, experiment: str) -> bool:
    return "train" in plan.projected_splits and shown_split(plan) != "train"


@register_figure("Embedding", applies=embeddings_are_shown, files=_TEST, numbers=False)
def embedding(data):
    """The test images of one training seed, coloured by the finest label where it has few classes.
    Where it has many, a hash chooses those in colour, and the others are gray. Embeddings in the
    plane are shown as they are, others through t-SNE.
    """
    return _draw(data, shown_split(data.plan)), None


@register_figure(
    "Embedding of the training classes", applies=_trains_and_tests, files=_TRAIN, numbers=False
)
def embedding_train(data):
    """The training images of one training seed, coloured as those of the test are. Embeddings in
    the plane are shown as they are, others through t-SNE.
    """
    return _draw(data, "train"), None


def _draw(data, split: str):
    """A panel for each method and subset, and one legend on the right."""
    import pandas as pd

    from dmlbench.reporting.style import MARKERS, MOST_PANELS, PALETTE, method_panels, plt, sns

    runs = shown_runs(data.plan, data.experiment)[:MOST_PANELS]
    points = {method: t for method, _, t in data.of_runs(runs, paths.projection(split))}
    looks, legend = {}, []
    for subset, mine in next(iter(points.values())).groupby("subset"):
        label, chosen = _classes(data, mine)
        # The others first, so that they lie below the classes.
        kinds = {str(c): (PALETTE[n], MARKERS[n]) for n, c in enumerate(chosen)}
        if mine[label].nunique() > len(chosen):
            kinds = {OTHERS: ("0.82", "o")} | kinds
        row = names.part(split, subset, "")
        looks[row] = subset, label, chosen, kinds
        title = f"{label} ({row})" if subset else label
        legend.append(plt.Line2D([], [], linestyle="", label=title.replace("_", " ")))
        for kind, (colour, marker) in kinds.items():
            text = kind.replace("_", " ")
            look = {"color": colour, "marker": marker, "markersize": 4, "linestyle": ""}
            text = text if len(text) <= 14 else f"{text[:12]}…"
            legend.append(plt.Line2D([], [], label=text, **look))

    def draw(axis, method, row):
        subset, label, chosen, kinds = looks[row]
        everything = points[method]
        mine = everything[everything["subset"] == subset]
        kind = mine[label].where(mine[label].isin(chosen), OTHERS).astype(str)
        mine = mine.assign(kind=pd.Categorical(kind, list(kinds))).sort_values("kind")
        # Thousands of points as vectors would be files that viewers choke on.
        sns.scatterplot(
            mine, x="x", y="y", hue="kind", style="kind", legend=False, ax=axis, rasterized=True,
            palette={k: colour for k, (colour, _) in kinds.items()}, linewidth=0,
            markers={k: marker for k, (_, marker) in kinds.items()},
            s=min(7, max(2, 2500 / len(mine))),
        )  # fmt: skip
        # All subsets of a method in one frame.
        for limit, at in ((axis.set_xlim, everything["x"]), (axis.set_ylim, everything["y"])):
            room = 0.05 * (at.max() - at.min() or 1.0)
            limit(at.min() - room, at.max() + room)
        axis.set(xticks=[], yticks=[])

    figure = method_panels(data, points, list(looks), draw, legend=1.3)
    figure.legend(handles=legend, loc="outside right center", frameon=False, handletextpad=0.1)
    return figure


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
