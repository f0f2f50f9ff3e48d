"""A folder of results, read once for all rules."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from dmlbench import paths
from dmlbench.checking.ledger import OK, LedgerEntry, ledger
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.version import BENCHMARK_VERSION

_TRAIN, _MEASURE = "train the run again", "measure it again"

# What rules need of a run.json and a metrics.json; what else a file holds is not looked at.
_PART = {"split": str, "subset": str, "label": str}
_COUNTS = dict.fromkeys(("queries", "gallery", "held_out", "classes", "trained_classes"), int)
_Counts = TypedDict("_Counts", {**_PART, **_COUNTS, "chance": float})
_LENGTHS = {"vectors": int, "dimension": int, "shortest": float, "longest": float}
_Vectors = TypedDict("_Vectors", {**_PART, "selection": str, **_LENGTHS})
_VALUE = {"metric": str, "k": int, "value": float | None, "note": str}
_Row = TypedDict("_Row", {**_PART, "selection": str, **_VALUE})


class _Control(TypedDict):
    run: dict[str, Any]
    fingerprint: str
    data: str


class _Trained(_Control):
    initial_weights: str
    selected_epochs: dict[str, int]
    files: dict[str, str]


class _Metrics(TypedDict):
    fingerprint: str
    data: str
    code: str
    evaluation: dict[str, Any]
    parts: list[_Counts]
    vectors: list[_Vectors]
    metrics: list[_Row]


_CONTROL, _TRAINED, _METRICS = (TypeAdapter(form) for form in (_Control, _Trained, _Metrics))


@dataclass(frozen=True)
class Measured:
    """What a run left: its ``run.json`` (``record``), ``metrics.json`` and ``history.csv``.

    The history of a control without a training is empty.
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
        """The rows of Recall@K, where it is defined."""
        return [r for r in self.rows if r["metric"] == "recall" and r["value"] is not None]


@dataclass
class Results:
    """Results of a config.

    Attributes:
        plan, entries: The config, and what became of every run that it plans.
        measured: What the finished runs left, in the config's order.
        versions: The benchmark version of the runs that were measured under another one. No other
            rule looks at them: what files hold may differ between versions.
    """

    plan: Plan
    entries: list[LedgerEntry]
    measured: dict[Run, Measured] = field(default_factory=dict)
    versions: dict[Run, str] = field(default_factory=dict)

    @classmethod
    def read(cls, plan: Plan, folder: Path | None = None) -> "Results":
        """Read every finished run of ``folder`` (None: where the workflow keeps them).

        Raises:
            DataError: A file of a finished run is missing or damaged; names it, and what in it.
        """
        folder = folder or Path(paths.results(plan.benchmark.name))
        results = cls(plan, ledger(plan, folder))
        for entry in results.entries:
            if entry.state != OK:
                continue
            metrics = _read(paths.run_in(folder, entry.run.id) / paths.METRICS_FILE, _MEASURE)
            version = metrics.get("benchmark_version") if isinstance(metrics, dict) else None
            if version == BENCHMARK_VERSION:
                results.measured[entry.run] = _measured(folder, entry.run, metrics)
            else:
                results.versions[entry.run] = str(version or "none")
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


def _measured(results: Path, run: Run, metrics: dict) -> Measured:
    """What a finished run left, each file of the form that rules need."""
    folder = paths.run_in(results, run.id)
    record = _read(folder / "run.json", _TRAIN)
    _validate(_METRICS, metrics, folder / paths.METRICS_FILE, _MEASURE)
    _validate(_TRAINED if run.trained else _CONTROL, record, folder / "run.json", _TRAIN)
    history = _read_history(folder / "history.csv") if run.trained else pd.DataFrame()
    return Measured(run, record, metrics, history)


def _read(file: Path, remedy: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error}); {remedy}") from None


def _validate(form: TypeAdapter, content: object, file: Path, remedy: str) -> None:
    try:
        form.validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "top level"
        raise DataError(f"{file}: {where}: {first['msg'].lower()}; {remedy}") from None


def _read_history(file: Path) -> pd.DataFrame:
    try:
        history = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error}); {_TRAIN}") from None
    for column in ("epoch", "steps", "loss"):
        if column not in history or not pd.api.types.is_numeric_dtype(history[column]):
            raise DataError(f"{file}: has no numbers in a column '{column}'; {_TRAIN}")
    return history
