"""A folder of results, read once for all rules."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.checking.ledger import OK, Cell, ledger
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError


@dataclass(frozen=True)
class Measured:
    """What a run left.

    Attributes:
        run: Which.
        record: Its ``run.json``.
        metrics: Its ``metrics.json``.
        history: Its ``history.csv``; empty of a control without a training.
    """

    run: Run
    record: dict
    metrics: dict
    history: pd.DataFrame

    @property
    def rows(self) -> list[dict]:
        """What was measured, in long form. No table: building one takes longer than all rules."""
        return self.metrics["metrics"]

    def recalls(self) -> list[dict]:
        """The rows of Recall@K."""
        return [row for row in self.rows if row["metric"] == "recall"]


@dataclass
class Results:
    """Results of a config.

    Attributes:
        plan: The config.
        cells: What became of every planned run.
        measured: What the finished runs left, in the config's order.
    """

    plan: Plan
    cells: list[Cell]
    measured: dict[Run, Measured] = field(default_factory=dict)

    @classmethod
    def read(cls, plan: Plan, folder: Path | None = None) -> "Results":
        """Read every finished run of ``folder`` (None: where the workflow keeps them).

        Raises:
            DataError: A file of a finished run is missing or damaged; names it.
        """
        folder = folder or Path(paths.results(plan.benchmark.name))
        results = cls(plan, ledger(plan, folder))
        for cell in results.cells:
            if cell.state == OK:
                results.measured[cell.run] = read_run(folder, cell.run)
        return results

    @property
    def trained(self) -> Iterator[Measured]:
        """The runs that are trainings."""
        return (m for m in self.measured.values() if m.run.trained)

    def comparisons(self) -> Iterator[tuple[str, list[Measured]]]:
        """For each experiment what stands in its table, controls last."""
        for name in self.plan.benchmark.experiments:
            runs = [*self.plan.experiment_runs(name), *self.plan.controls[name].values()]
            yield name, [self.measured[run] for run in runs if run in self.measured]


def read_run(results: Path, run: Run) -> Measured:
    """What a finished run left.

    Raises:
        DataError: A file is missing or damaged; names it.
    """
    folder = paths.run_in(results, run.id)
    read = []
    for name in ("run.json", paths.METRICS_FILE):
        try:
            read.append(json.loads((folder / name).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError(f"{folder / name}: cannot be read ({error}); make it again") from None
    history = pd.DataFrame()
    if run.trained:
        try:
            history = pd.read_csv(folder / "history.csv")
        except (OSError, ValueError) as error:
            file = folder / "history.csv"
            raise DataError(f"{file}: cannot be read ({error}); train the run again") from None
    return Measured(run, *read, history)
