"""Embeddings in the plane, methods side by side."""

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.knn import tie_keys
from dmlbench.reporting import names
from dmlbench.reporting.figures import (
    RunFiles,
    embeddings_are_shown,
    register_figure,
    shown_files,
    shown_runs,
    shown_split,
)

#: Methods that a figure shows at most, on two pages.
MOST = 48
#: So many classes are told apart; of more, so many are shown in colour among the others in gray.
CLASSES = 8
OTHERS = "others"
_NOT_LABELS = {"id", "path", "split", "subset", "x", "y", "method"}


def _trains_and_tests(plan: Plan, experiment: str) -> bool:
    return "train" in plan.projected_splits and shown_split(plan) != "train"


def _training_files(plan: Plan, experiment: str) -> RunFiles:
    return [(run, paths.projection("train")) for run in shown_runs(plan, experiment)]


@register_figure(
    "embedding",
    title="Embedding",
    caption=(
        "The test images of one training seed, coloured by the finest label where it has few "
        "classes. Where it has many, some are coloured, chosen by a hash, and the others are gray. "
        "Embeddings in the plane are shown as they are, others through t-SNE."
    ),
    applies=embeddings_are_shown,
    files=shown_files(paths.projection),
    numbers=False,
)
def embedding(data):
    """The test images, coloured by the finest label (EPS figure 2)."""
    return _draw(data, shown_split(data.plan)), None


@register_figure(
    "embedding_train",
    title="Embedding of the training classes",
    caption=(
        "The training images of one training seed, coloured as those of the test are. Embeddings "
        "in the plane are shown as they are, others through t-SNE."
    ),
    applies=_trains_and_tests,
    files=_training_files,
    numbers=False,
)
def embedding_train(data):
    """The training images (EPS figure 6)."""
    return _draw(data, "train"), None


def _draw(data, split: str):
    """A panel for each method and subset, and one legend on the right."""
    import pandas as pd
    import seaborn as sns

    from dmlbench.reporting.style import MARKERS, PALETTE, method_panels, plt

    runs = shown_runs(data.plan, data.experiment)[:MOST]
    points = {method: t for method, _, t in data.of_runs(runs, paths.projection(split))}
    first = next(iter(points.values()))
    subsets = {names.part(split, s, ""): s for s in sorted(first["subset"].unique())}
    words = {method: data.words[method] for method in points}
    looks = {}
    for row, subset in subsets.items():
        mine = first[first["subset"] == subset]
        label, chosen = _classes(data, mine, split)
        colours = {str(c): PALETTE[n] for n, c in enumerate(chosen)}
        markers = dict(zip(colours, MARKERS, strict=False))
        if mine[label].nunique() > len(chosen):
            # First, so that they lie below the classes.
            colours, markers = {OTHERS: "0.82"} | colours, {OTHERS: "o"} | markers
        looks[row] = label, chosen, colours, markers

    def draw(axis, method, row):
        everything = points[method]
        mine = everything[everything["subset"] == subsets[row]]
        label, chosen, colours, markers = looks[row]
        kinds = mine[label].where(mine[label].isin(chosen), OTHERS).astype(str)
        mine = mine.assign(kind=pd.Categorical(kinds, list(colours))).sort_values("kind")
        # Thousands of points as vectors would be files that viewers choke on.
        sns.scatterplot(
            mine, x="x", y="y", hue="kind", style="kind", palette=colours, markers=markers, ax=axis,
            s=min(7, max(2, 2500 / len(mine))), linewidth=0, legend=False, rasterized=True,
        )  # fmt: skip
        # All subsets of a method in one frame.
        axis.set(xlim=_limits(everything["x"]), ylim=_limits(everything["y"]), xticks=[], yticks=[])

    figure = method_panels(words, list(subsets), draw, legend=1.3)
    legend = []
    for row, (label, _, colours, markers) in looks.items():
        title = label.replace("_", " ") + (f" ({row})" if len(looks) > 1 else "")
        legend.append(plt.Line2D([], [], linestyle="", label=title))
        for kind, colour in colours.items():
            look = {
                "marker": markers[kind],
                "color": colour,
                "markersize": 4,
                "label": _short(kind),
            }
            legend.append(plt.Line2D([], [], linestyle="", **look))
    figure.legend(handles=legend, loc="outside right center", frameon=False, handletextpad=0.1)
    return figure


def _classes(data, table, split: str) -> tuple[str, list]:
    """The label that colours the points, and its classes in colour.

    The label is the finest where it has few classes (what a collapse hides), else the trained one.
    Classes are all, or those of the smallest hashes among the larger half.
    """
    import numpy as np

    columns = [c for c in table.columns if c not in _NOT_LABELS]
    label = max(columns, key=lambda c: table[c].nunique())
    if table[label].nunique() > CLASSES:
        label = data.plan.facts(data.dataset)["train_label"]
    counts = table[label].value_counts()
    if len(counts) <= CLASSES:
        return label, sorted(counts.index)
    many = np.sort(counts[counts >= counts.median()].index.to_numpy())
    order = np.argsort(tie_keys(np.arange(len(many))))
    return label, sorted(many[order[:CLASSES]])


def _short(text: str) -> str:
    text = text.replace("_", " ")
    return text if len(text) <= 14 else f"{text[:12]}…"


def _limits(values) -> tuple[float, float]:
    low, high = values.min(), values.max()
    room = 0.05 * (high - low or 1.0)
    return low - room, high + room
