"""Drawing the figures of a config and writing them with their numbers."""

from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.checking.ledger import OK
from dmlbench.config import Plan
from dmlbench.errors import ConfigError
from dmlbench.files import replacing, write_text
from dmlbench.reporting.figure_data import FigureData
from dmlbench.reporting.figures import figures, planned
from dmlbench.reporting.figures.critical_difference import over_datasets
from dmlbench.reporting.stamped import write_csv
from dmlbench.reporting.style import PAGE_HEIGHT, PALETTE, paper_style, plt
from dmlbench.version import STAMP


def draw(plan: Plan, experiment: str, kinds: list[str] | None = None) -> None:
    """Draw figures of an experiment, all or some kinds: PDF, PNG, the caption, the numbers as CSV.

    Raises:
        ConfigError: The experiment has no such figure.
    """
    plan.check_experiment(experiment)
    there = planned(plan, experiment)
    if lacking := [kind for kind in kinds or [] if kind not in there]:
        raise ConfigError(
            f"{experiment} has no figure '{lacking[0]}': its runs have nothing to show in it; "
            f"it has {', '.join(there)}"
        )
    data = FigureData.of(plan, experiment)
    for kind in kinds or there:
        pattern = paths.figure(plan.benchmark.name, experiment, kind, "{}")
        write_text(Path(pattern.format("rst")), figures()[kind].caption + "\n")
        with paper_style():
            figure, table = figures()[kind].draw(data)
            _mark_partial(figure, plan, experiment)
            if table is not None:
                table = table.assign(method=[data.words.get(m, m) for m in table["method"]])
            _write(figure, table, pattern)


def draw_overall(plan: Plan) -> None:
    """Draw the critical differences over datasets."""
    pattern = paths.overall_figure(plan.benchmark.name, "critical_difference", "{}")
    with paper_style():
        _write(*over_datasets(plan), pattern)


def _mark_partial(figure: plt.Figure, plan: Plan, experiment: str) -> None:
    """Say on the figure itself that runs are missing."""
    states = pd.read_csv(paths.ledger(plan.benchmark.name), index_col="run")["state"]
    runs = [run.id for run in plan.experiment_runs(experiment)]
    there = (states[runs] == OK).sum()
    if there < len(runs):
        text = f"PARTIAL: {there} of {len(runs)} runs"
        figure.suptitle(text, color=PALETTE[1], weight="bold", size="large", x=0.995, ha="right")
        figure.set_figheight(figure.get_figheight() + 0.2)


def _write(figure: plt.Figure, table: pd.DataFrame | None, pattern: str) -> None:
    """Write a figure and its numbers without time stamps; braces in ``pattern`` are the suffix."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf  # after the choice in ``style``

    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    stamp = f"dmlbench. {STAMP}"
    # Each file is drawn once; ``savefig`` draws twice.
    with replacing(Path(pattern.format("png"))) as temporary:
        figure.canvas.print_png(temporary, metadata={"Software": None, "Description": stamp})
    # Points are pictures inside the PDF; in figures of several pages coarser ones do.
    figure.set_dpi(300 if figure.get_figheight() < PAGE_HEIGHT else 150)
    with replacing(Path(pattern.format("pdf"))) as temporary:
        canvas = FigureCanvasPdf(figure)
        canvas.print_pdf(temporary, metadata={"CreationDate": None, "Subject": stamp})
    plt.close(figure)
    if table is not None:
        write_csv(Path(pattern.format("csv")), table, "%.6g")
