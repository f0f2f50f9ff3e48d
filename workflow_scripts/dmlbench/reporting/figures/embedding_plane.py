"""Embeddings in the plane, methods side by side."""

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.knn import tie_keys
from dmlbench.reporting import names
from dmlbench.reporting.figures import embeddings_are_shown, register_figure, shown_files

#: So many classes are told apart; of more, so many are shown in colour among the others in gray.
CLASSES = 8
OTHERS = "others"
_NOT_LABELS = {"id", "path", "split", "subset", "x", "y", "method", "seed", "part", "heading"}
_TEST, _TRAIN = shown_files(paths.projection), shown_files(paths.projection, "train")


def _trains_and_tests(plan: Plan, experiment: str) -> bool:
    return {"train", "test"} <= set(plan.projected_splits)


@register_figure("Embedding", applies=embeddings_are_shown, files=_TEST, numbers=False)
def embedding(data):
    """The test images of one training seed, coloured by the finest label where it has few classes.
    Where it has many, a hash chooses those in colour, and the others are gray. Embeddings in the
    plane are shown as they are, others through t-SNE.
    """
    return _draw(data), None


@register_figure(
    "Embedding of the training classes", applies=_trains_and_tests, files=_TRAIN, numbers=False
)
def embedding_train(data):
    """The training images of one training seed, coloured as those of the test are. Embeddings in
    the plane are shown as they are, others through t-SNE.
    """
    return _draw(data, "train"), None


def _draw(data, split: str = ""):
    """A panel for each method and subset, and one legend on the right."""
    from dmlbench.reporting.style import MARKERS, MOST_PANELS, PALETTE, method_panels

    table = data.of_shown_runs(paths.projection, MOST_PANELS, split)
    table = table.sort_values("subset", kind="stable")
    table["part"] = [
        names.part(*one, "") for one in zip(table["split"], table["subset"], strict=True)
    ]
    classes = {part: _classes(data, mine) for part, mine in table.groupby("part")}
    several = len(classes) > 1
    table["heading"] = table["part"] if several else ""

    def draw(axis, mine):
        part, method = mine[["part", "method"]].iloc[0]
        label, chosen = classes[part]
        title = f"{label} ({part})" if several else label
        axis.plot([], [], linestyle="", label=title.replace("_", " "))  # heads the legend
        # Others first, so that they lie below the classes.
        kind = mine[label].where(mine[label].isin(chosen), OTHERS)
        looks = {OTHERS: ("0.82", "o")} if OTHERS in set(kind) else {}
        looks |= {c: (PALETTE[n], MARKERS[n]) for n, c in enumerate(chosen)}
        for name, (colour, marker) in looks.items():
            text = str(name).replace("_", " ")
            # Thousands of points as vectors would be files that viewers choke on.
            axis.plot(
                "x", "y", marker, data=mine[kind == name], color=colour, rasterized=True, mew=0,
                ms=max(1.4, min(2.6, 50 / len(mine) ** 0.5)),
                label=text if len(text) <= 16 else f"{text[:14]}…",
            )  # fmt: skip
        # All parts of a method in one frame.
        axis.update_datalim(table.loc[table["method"] == method, ["x", "y"]])
        axis.autoscale_view()
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(True)

    figure = method_panels(data, table, draw)
    first = figure.axes[:: table["method"].nunique()]
    lines = [line for axis in first for line in axis.lines]
    legend = figure.legend(handles=lines, loc="outside right center", handlelength=1)
    for line in legend.get_lines():
        line.set_markersize(5)
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
