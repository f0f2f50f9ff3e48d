"""Figures of an experiment."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.reporting import names
from dmlbench.reporting.statistics import summarize
from dmlbench.reporting.style import PALETTE, method_styles, paper_style, plt, save

MARKERS = "osv^D<>pP*"


def draw(plan: Plan, kind: str, experiment: str) -> None:
    """Draw the figure ``kind`` of ``experiment`` and save it as PDF and PNG."""
    name = plan.benchmark.name
    plan.check_experiment(experiment)
    history = pd.read_parquet(paths.summary(name, "history"))
    with paper_style():
        figure = FIGURES[kind](plan, experiment, history)
        save(figure, [Path(paths.figure(name, experiment, kind, s)) for s in ("pdf", "png")])


def recall_per_epoch(plan: Plan, experiment: str, history: pd.DataFrame) -> plt.Figure:
    """Recall@1 against epochs, mean and 95% interval over seeds (EPS figure 5a)."""
    dataset = plan.benchmark.experiments[experiment].dataset
    facts = plan.facts(dataset)
    test = next(e for e in facts["evaluations"] if e[0] == "test")
    titles = {
        "recall_at_1_test_max": f"test: {names.part(*test)}",
        "recall_at_1_val": f"validation: {facts['train_label']}",
    }
    columns = [c for c in titles if c in history]
    figure, axes = plt.subplots(
        1, len(columns), figsize=(3.4 * len(columns), 2.6), squeeze=False, layout="constrained"
    )
    methods = _methods(plan, experiment)
    styles = method_styles(list(methods.values()))
    for axis, column in zip(axes[0], columns, strict=True):
        for method, words in methods.items():
            runs = _of_method(history, dataset, method)
            measured = runs.dropna(subset=[column])
            curve = measured.groupby("epoch")[column].apply(
                lambda values: summarize(100 * values.to_numpy())
            )
            mean = np.array([s.mean for s in curve])
            half = np.array([s.half_width or 0.0 for s in curve])
            axis.plot(curve.index, mean, label=words, linewidth=1.2, **styles[words])
            axis.fill_between(
                curve.index,
                np.maximum(mean - half, 0),
                np.minimum(mean + half, 100),  # an interval may leave what a share can be
                color=styles[words]["color"],
                alpha=0.15,
                lw=0,
            )
        axis.set(xlabel="epoch", ylabel="Recall@1 (%)", title=titles[column])
        axis.grid(alpha=0.3, linewidth=0.4)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(2, len(labels)), frameon=False
    )
    return figure


def embedding(plan: Plan, experiment: str, history: pd.DataFrame) -> plt.Figure:
    """Embeddings in the plane, methods side by side (EPS figure 2), or their t-SNE (figure 6).

    A subset of the test split that is measured by itself gets a row of its own; after four methods
    the rows begin again, so that the figure fits a page.
    """
    settings = plan.benchmark.projection
    methods = _methods(plan, experiment)
    dataset = plan.benchmark.experiments[experiment].dataset
    points = {}
    for method, words in methods.items():
        run = Run(dataset, *method, plan.projected_seeds[0])
        file = plan.run_folder(run) / paths.projection(settings.split)
        if not file.is_file():
            raise DataError(f"{file} is missing; run the project step first")
        points[words] = pd.read_parquet(file)
    subsets = sorted(next(iter(points.values()))["subset"].unique())
    across = min(4, len(points))
    parts = [list(points)[i : i + across] for i in range(0, len(points), across)]
    rows = [(part, subset) for part in parts for subset in subsets]
    figure, axes = plt.subplots(
        len(rows),
        across,
        figsize=(1.6 * across + 0.8, 1.75 * len(rows)),
        squeeze=False,
        layout="constrained",
    )
    for row, (part, subset) in zip(axes, rows, strict=True):
        for axis, words in zip(row, part, strict=False):
            everything = points[words]
            mine = everything[everything["subset"] == subset]
            _scatter(axis, mine, _finest_label(mine))
            # All subsets of a method in one frame.
            axis.set(xlim=_limits(everything["x"]), ylim=_limits(everything["y"]))
            if subset == subsets[0]:
                axis.set_title(words)
        for axis in row[len(part) :]:
            axis.set_axis_off()
        row[0].set_ylabel(names.part(settings.split, subset, ""))
        handles, labels = row[0].get_legend_handles_labels()
        if len(labels) <= len(PALETTE):
            row[len(part) - 1].legend(
                handles,
                labels,
                loc="center left",
                bbox_to_anchor=(1.0, 0.5),
                frameon=False,
                markerscale=2,
                handletextpad=0.1,
            )
    return figure


def _scatter(axis: plt.Axes, table: pd.DataFrame, label: str) -> None:
    """Points by class, in colours and markers that can be told apart where classes are few."""
    values = sorted(table[label].unique())
    legible = len(values) <= len(PALETTE)
    for number, value in enumerate(values):
        chosen = table[table[label] == value]
        colour = PALETTE[number] if legible else plt.get_cmap("nipy_spectral")(number / len(values))
        axis.scatter(
            chosen["x"],
            chosen["y"],
            s=4,
            linewidth=0,
            alpha=0.7,
            color=colour,
            marker=MARKERS[number % len(MARKERS)] if legible else ".",
            label=str(value),
            rasterized=len(table) > 3000,
        )
    axis.set(xticks=[], yticks=[])


def _limits(values: pd.Series) -> tuple[float, float]:
    low, high = values.min(), values.max()
    room = 0.05 * (high - low or 1.0)
    return low - room, high + room


def _finest_label(table: pd.DataFrame) -> str:
    """The label column with the most classes: what a collapse hides."""
    columns = [
        c for c in table.columns if c not in {"id", "path", "split", "subset", "x", "y", "method"}
    ]
    return max(columns, key=lambda c: table[c].nunique())


def _methods(plan: Plan, experiment: str) -> dict[tuple[str, str, str], str]:
    return {m: names.method(plan, *m, experiment) for m in plan.methods[experiment]}


def _of_method(table: pd.DataFrame, dataset: str, method: tuple[str, str, str]) -> pd.DataFrame:
    mask = table["dataset"] == dataset
    for column, value in zip(("recipe", "loss", "sampler"), method, strict=True):
        mask &= table[column] == value
    return table[mask]


FIGURES: dict[str, Callable[[Plan, str, pd.DataFrame], plt.Figure]] = {
    "recall_per_epoch": recall_per_epoch,
    "embedding": embedding,
}
