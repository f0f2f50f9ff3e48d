"""Drawing the figures of a config from its results, and writing them with their numbers."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dmlbench import STAMP, paths
from dmlbench.checking.ledger import OK
from dmlbench.config import METHOD_KEYS, Plan, Run
from dmlbench.errors import ConfigError, DataError
from dmlbench.files import replacing, write_text
from dmlbench.records import read_table
from dmlbench.reporting import names
from dmlbench.reporting.cells import rows_where
from dmlbench.reporting.collected import read_ledger, read_summary
from dmlbench.reporting.figures import figures, planned, shown_runs, shown_split
from dmlbench.reporting.figures.critical_difference import over_datasets
from dmlbench.reporting.fonts import add_fonts
from dmlbench.reporting.formats import write_csv
from dmlbench.reporting.style import COLUMN, PALETTE, Method, method_styles, paper_style, plt


class NothingToShowError(DataError):
    """No run of an experiment is there yet."""


@dataclass(frozen=True)
class FigureData:
    """The results of one experiment; its tables have the method in the column ``method``.

    Attributes:
        words: Every method in words, in the config's order.
        styles: How every method is drawn: keyword arguments of a line of matplotlib.
    """

    plan: Plan
    experiment: str
    words: dict[Method, str]
    styles: dict[Method, dict]

    @classmethod
    def of(cls, plan: Plan, experiment: str) -> "FigureData":
        """The data of an experiment."""
        return cls(plan, experiment, names.methods(plan, experiment), method_styles(plan))

    @property
    def dataset(self) -> str:
        """The experiment's dataset."""
        return self.plan.benchmark.experiments[self.experiment].dataset

    @property
    def smallest_k(self) -> int:
        """The K of the Recall@K that methods are compared by: 1, where it is measured."""
        return min(self.plan.benchmark.evaluation.recall_at)

    def test_parts(self) -> list[tuple[str, str, str]]:
        """Split, subset and label of each part of the test."""
        return [p for p in self.plan.facts(self.dataset).evaluations if p.split == "test"]

    def table(self, name: str) -> pd.DataFrame:
        """The rows of a collected table (metrics, history or runs) that are this experiment's.

        Raises:
            NothingToShowError: There are none.
        """
        table = read_summary(self.plan, name)
        table["method"] = list(table[METHOD_KEYS].itertuples(index=False, name=None))
        mine = table[(table["dataset"] == self.dataset) & table["method"].isin(list(self.words))]
        if mine.empty:
            raise NothingToShowError(f"{self.experiment}: no run is there; run the pipeline first")
        return mine

    def recalls(self, k: int | None = None) -> pd.DataFrame:
        """Recall@K in percent on the test, for the weights that figures show; without ``k``, all.

        Columns: subset, label, part (in words, in the dataset's order), method, seed, k, value.
        """
        shown = {"selection": self.plan.benchmark.projection.selection} | ({"k": k} if k else {})
        table = rows_where(self.table("metrics"), metric="recall", split="test", **shown)
        words = {part[1:]: names.part(*part) for part in self.test_parts()}
        parts = [words[row] for row in zip(table["subset"], table["label"], strict=True)]
        parts = pd.Categorical(parts, list(words.values()))
        return table.assign(value=100 * table["value"], part=parts)

    def of_runs(self, runs: Iterable[Run], file: str) -> pd.DataFrame:
        """The tables in the folders of some runs, one below another.

        Raises:
            DataError: One is missing, and the config does not say ``partial``.
            NothingToShowError: All are.
        """
        found = []
        for run in runs:
            path = self.plan.run_folder(run) / file
            if path.is_file():
                table = read_table(path, self.plan.fingerprint(run))
                found.append(table.assign(method=[run.method] * len(table), seed=run.seed))
            elif not self.plan.benchmark.partial:
                raise DataError(f"{path} is missing; run the pipeline to the end")
        if not found:
            text = f"{self.experiment}: no run has {file} yet; run the pipeline first"
            raise NothingToShowError(text)
        return pd.concat(found, ignore_index=True)

    def of_shown_runs(
        self, file: Callable[[str], str], at_most: int, split: str = ""
    ) -> pd.DataFrame:
        """A table of embeddings of each method, for the one training seed that figures show."""
        runs = shown_runs(self.plan, self.experiment)[:at_most]
        return self.of_runs(runs, file(split or shown_split(self.plan)))

    @staticmethod
    def over_seeds(table: pd.DataFrame, *by: str, value: str = "value") -> pd.DataFrame:
        """Mean, lowest and highest value over seeds, and their number, for each group."""
        groups = table.groupby(list(by), sort=False, observed=True)[value]
        return groups.agg(mean="mean", low="min", high="max", seeds="size").reset_index()


def write_figures(plan: Plan, experiment: str, kinds: list[str] | None = None) -> None:
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
            try:
                figure, table = figures()[kind].draw(data)
            except NothingToShowError:
                if not plan.benchmark.partial:
                    raise
                figure, table = _nothing_yet(figures()[kind].numbers)
            _mark_partial(figure, plan, experiment)
            if table is not None:
                table = table.assign(method=[data.words.get(m, m) for m in table["method"]])
            _write(figure, table, pattern)


def write_overall_figures(plan: Plan) -> None:
    """Draw the critical differences over datasets."""
    pattern = paths.overall_figure(plan.benchmark.name, "critical_difference", "{}")
    with paper_style():
        _write(*over_datasets(plan), pattern)


def _mark_partial(figure: plt.Figure, plan: Plan, experiment: str) -> None:
    """Say on the figure itself that runs are missing."""
    states = read_ledger(plan).set_index("run")["state"]
    runs = [run.id for run in plan.experiment_runs(experiment)]
    there = (states[runs] == OK).sum()
    if there < len(runs):
        text = f"PARTIAL: {there} of {len(runs)} runs"
        figure.suptitle(text, color=PALETTE[1], weight="bold", size="large", x=0.995, ha="right")
        figure.set_figheight(figure.get_figheight() + 0.2)


def _nothing_yet(numbers: bool) -> tuple[plt.Figure, pd.DataFrame | None]:
    """A figure of runs of which none is there yet, and its table."""
    figure = plt.figure(figsize=(COLUMN, 1))
    figure.text(0.5, 0.4, "none of the runs that it shows is there yet", ha="center")
    return figure, pd.DataFrame(columns=["method"]) if numbers else None


def _write(figure: plt.Figure, table: pd.DataFrame | None, pattern: str) -> None:
    """Write a figure and its numbers; braces in ``pattern`` are the suffix."""
    stamp = f"dmlbench. {STAMP}"
    add_fonts(figure, Path(pattern).stem)
    # No time stamps: equal results give equal bytes.
    about = {
        "png": {"dpi": 200, "metadata": {"Software": None, "Description": stamp}},
        "pdf": {"dpi": 300, "metadata": {"CreationDate": None, "Subject": stamp}},
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # told once, for all of them
        for suffix, how in about.items():
            with replacing(Path(pattern.format(suffix))) as temporary:
                figure.savefig(temporary, **how)
    plt.close(figure)
    if table is not None:
        write_csv(Path(pattern.format("csv")), table, "%.6g")
