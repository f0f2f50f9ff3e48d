"""Figures of an experiment."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.reporting import names
from dmlbench.reporting.collect import run_folder
from dmlbench.reporting.statistics import summarize
from dmlbench.reporting.style import PALETTE, method_styles, paper_style, plt, save

MARKERS = "osv^D<>pP*"


def draw(plan: Plan, kind: str, experiment: str, history: Path, out: Sequence[Path]) -> None:
    """Draw the figure ``kind`` of ``experiment`` and save it under every name of ``out``."""
    with paper_style():
        save(FIGURES[kind](plan, experiment, pd.read_parquet(history)), out)


def recall_per_epoch(plan: Plan, experiment: str, history: pd.DataFrame) -> plt.Figure:
    """Recall@1 against epochs, mean and 95% interval over seeds (EPS figure 5a)."""
    columns = [c for c in ("recall_at_1_test_max", "recall_at_1_val") if c in history]
    titles = {"recall_at_1_test_max": "test", "recall_at_1_val": "validation"}
    figure, axes = plt.subplots(
        1, len(columns), figsize=(3.4 * len(columns), 2.6), squeeze=False, layout="constrained"
    )
    methods = _methods(plan, experiment)
    styles = method_styles(list(methods.values()))
    for axis, column in zip(axes[0], columns, strict=True):
        for method, words in methods.items():
            runs = _of_method(history, plan.benchmark.experiments[experiment].dataset, method)
            measured = runs.dropna(subset=[column])
            curve = measured.groupby("epoch")[column].apply(
                lambda values: summarize(100 * values.to_numpy())
            )
            mean = np.array([s.mean for s in curve])
            half = np.array([s.half_width or 0.0 for s in curve])
            axis.plot(curve.index, mean, label=words, linewidth=1.2, **styles[words])
            axis.fill_between(
                curve.index,
                mean - half,
                mean + half,
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

    A subset of the test split that is measured by itself gets a row of its own.
    """
    settings = plan.benchmark.projection
    methods = _methods(plan, experiment)
    dataset = plan.benchmark.experiments[experiment].dataset
    points = {}
    for method, words in methods.items():
        run = Run(dataset, *method, settings.seeds[0])
        file = run_folder(plan, run) / paths.projection(settings.split)
        if not file.is_file():
            raise DataError(f"{file} is missing; run the project step first")
        points[words] = pd.read_parquet(file)
    first = next(iter(points.values()))
    subsets = sorted(first["subset"].unique())
    columns = min(len(methods), 3)
    rows = -(-len(methods) // columns)
    figure, axes = plt.subplots(
        rows * len(subsets),
        columns,
        figsize=(2.3 * columns, 2.2 * rows * len(subsets)),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.axis("off")
    for s, subset in enumerate(subsets):
        for m, (words, table) in enumerate(points.items()):
            axis = axes[(m // columns) * len(subsets) + s][m % columns]
            part = table[table["subset"] == subset]
            _scatter(axis, part, _finest_label(part))
            where = names.part(settings.split, subset, "") if subset else ""
            axis.set_title("\n".join(t for t in (words, where) if t))
    return figure


def _scatter(axis: plt.Axes, table: pd.DataFrame, label: str) -> None:
    """Points by class; a legend where there are few enough classes to read one."""
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
    axis.axis("on")
    axis.set(xticks=[], yticks=[])
    if legible:
        axis.legend(
            title=label, markerscale=2, handletextpad=0, borderpad=0.2, loc="best", fontsize=6,
            title_fontsize=6,
        )  # fmt: skip


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
