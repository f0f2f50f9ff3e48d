"""Drawing and saving the figures of a config."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.checking.ledger import OK
from dmlbench.config import Plan
from dmlbench.errors import ConfigError
from dmlbench.reporting.figures import gallery, lines, points, ranks, scores, times
from dmlbench.reporting.figures.kinds import KINDS, planned
from dmlbench.reporting.figures.shared import Scene
from dmlbench.reporting.stamped import write_csv
from dmlbench.reporting.style import PALETTE, paper_style, plt, save

DRAWN: dict[str, Callable[[Scene], tuple[plt.Figure, pd.DataFrame | None]]] = {
    "recall_per_epoch": lines.recall_per_epoch,
    "recall_at_k": lines.recall_at_k,
    "sweep": lines.sweep,
    "roc": lines.roc,
    "critical_difference": ranks.critical_difference,
    "seconds_per_epoch": times.seconds_per_epoch,
    "embedding": points.embedding,
    "embedding_train": points.embedding_train,
    "retrieval": gallery.retrieval,
    "similarities": scores.similarities,
}
assert DRAWN.keys() == KINDS.keys()


def draw(plan: Plan, experiment: str, kinds: list[str] | None = None) -> None:
    """Draw the figures of an experiment, or some of them: PDF, PNG and the numbers as CSV.

    Raises:
        ConfigError: The experiment has no such figure.
    """
    plan.check_experiment(experiment)
    there = planned(plan, experiment)
    for kind in kinds or there:
        if kind not in there:
            raise ConfigError(
                f"{experiment} has no figure '{kind}': its runs have nothing to show in it; "
                f"it has {', '.join(there)}"
            )
    scene = Scene.of(plan, experiment)
    for kind in kinds or there:
        with paper_style():
            figure, table = DRAWN[kind](scene)
            _mark_partial(figure, plan, experiment)
            if table is not None:
                table = table.assign(method=[scene.words.get(m, m) for m in table["method"]])
            pattern = paths.figure(plan.benchmark.name, experiment, kind, "{}")
            _save(figure, table, pattern)


def _mark_partial(figure: plt.Figure, plan: Plan, experiment: str) -> None:
    """Say on the figure itself that runs are missing."""
    states = pd.read_csv(paths.ledger(plan.benchmark.name), index_col="run")["state"]
    runs = [run.id for run in plan.experiment_runs(experiment)]
    there = (states[runs] == OK).sum()
    if there < len(runs):
        text = f"PARTIAL: {there} of {len(runs)} runs"
        figure.suptitle(text, fontsize=8, color=PALETTE[1], weight="bold", x=0.995, ha="right")


def draw_overall(plan: Plan) -> None:
    """Draw the critical differences over datasets."""
    with paper_style():
        figure, table = ranks.critical_difference_overall(plan)
        _save(figure, table, paths.overall_figure(plan.benchmark.name, "critical_difference", "{}"))


def _save(figure: plt.Figure, table: pd.DataFrame | None, pattern: str) -> None:
    """Write a figure and the numbers that it shows; braces in ``pattern`` are for the suffix."""
    save(figure, [Path(pattern.format(suffix)) for suffix in ("pdf", "png")])
    if table is not None:
        write_csv(Path(pattern.format("csv")), table, "%.6g")
