"""Embeddings in the plane, methods side by side."""

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.knn import tie_keys
from dmlbench.reporting import names
from dmlbench.reporting.figures import (
    embeddings_are_shown,
    register_figure,
    shown_files,
    shown_split,
)

#: So many classes are told apart; of more, so many are shown in colour among the others in gray.
CLASSES = 8
OTHERS = "others"
_NOT_LABELS = {"id", "path", "split", "subset", "x", "y", "method", "seed", "part", "heading"}
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

    table = data.of_shown_runs(paths.projection(split), MOST_PANELS)
    table = table.sort_values("subset", kind="stable")
    table["part"] = [names.part(split, subset, "") for subset in table["subset"]]
    several = table["part"].nunique() > 1
    table["heading"] = table["part"] if several else ""
    looks, legend = {}, []
    for part, mine in table.groupby("part"):
        label, chosen = _classes(data, mine)
        kinds = {str(c): (PALETTE[n], MARKERS[n]) for n, c in enumerate(chosen)}
        if mine[label].nunique() > len(chosen):
            # First, so that they lie below the classes.
            kinds = {OTHERS: ("0.82", "o")} | kinds
        looks[part] = label, chosen, kinds
        title = f"{label} ({part})" if several else label
        legend.append(plt.Line2D([], [], linestyle="", label=title.replace("_", " ")))
        for kind, (colour, marker) in kinds.items():
            text = kind.replace("_", " ")
            text = text if len(text) <= 16 else f"{text[:14]}…"
            look = {"color": colour, "marker": marker, "markersize": 4, "linestyle": ""}
            legend.append(plt.Line2D([], [], label=text, **look))

    def draw(axis, mine):
        label, chosen, kinds = looks[mine["part"].iloc[0]]
        kind = mine[label].where(mine[label].isin(chosen), OTHERS).astype(str)
        colours, markers = ({k: look[i] for k, look in kinds.items()} for i in (0, 1))
        # Thousands of points as vectors would be files that viewers choke on.
        sns.scatterplot(
            mine.assign(kind=pd.Categorical(kind, list(kinds))).sort_values("kind"), x="x", y="y",
            hue="kind", style="kind", palette=colours, markers=markers, legend=False, ax=axis,
            rasterized=True, linewidth=0, s=min(7, max(2, 2500 / len(mine))),
        )  # fmt: skip
        # All parts of a method in one frame.
        whole = table[table["method"] == mine["method"].iloc[0]]
        axis.update_datalim(whole[["x", "y"]])
        axis.autoscale_view()
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(True)

    figure = method_panels(data, table, draw)
    figure.legend(handles=legend, loc="outside right center", handlelength=1)
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
