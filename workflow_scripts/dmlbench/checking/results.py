"""What the finished runs of a config left, read for all rules."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired

import pandas as pd
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from dmlbench import BENCHMARK_VERSION, paths
from dmlbench.checking.ledger import OK, LedgerEntry, ledger, read_history
from dmlbench.config import Plan, Run
from dmlbench.files import checksum_of
from dmlbench.records import check_form, is_sealed, read_json
from dmlbench.workflow.job_records import MEASURE_AGAIN, RECORD, TRAIN_AGAIN

# What rules need of a run.json and a metrics.json; a file may hold more.
#: What tells the parts of a dataset apart.
PART = ("split", "subset", "label")
_PART = dict.fromkeys(PART, str)
_COUNTS = dict.fromkeys(("queries", "gallery", "held_out", "classes", "trained_classes"), int)
# See evaluation.run_metrics.part_counts; ``images`` where queries and gallery are apart.
_MORE = dict.fromkeys(("images", "unmatched", "copies", "fixed"), NotRequired[int])
_Counts = TypedDict("_Counts", {**_PART, **_COUNTS, **_MORE, "chance": float})
#: What tables say of a part.
SIZES = ("queries", "gallery", "unmatched", "copies")
_LENGTHS = {"vectors": int, "dimension": int, "shortest": float, "longest": float}
_LENGTHS |= {"one_point": NotRequired[bool]}  # since 1.2
_Vectors = TypedDict("_Vectors", {**_PART, "selection": str, **_LENGTHS})
_VALUE = {"metric": str, "k": int, "value": float | None, "note": str}
_Row = TypedDict("_Row", {**_PART, "selection": str, **_VALUE})
_OF_TRAINING = {"initial_weights": str, "files": dict[str, str], "outputs": dict[str, str]}
_MEASURED = {"parts": list[_Counts], "vectors": list[_Vectors], "metrics": list[_Row]}
_SETTINGS = {"fingerprint": str, "data": str, "code": str, "evaluation": dict[str, Any]}
_SETTINGS |= {"embeddings": dict[str, str]}
_TRAINED_FORM = TypeAdapter(TypedDict("_Trained", {**RECORD, **_OF_TRAINING}))
_LEFT_OUT = {"same": int, "near": int, "left_out": dict[str, list[int]]}
_COPIES = {"duplicates": NotRequired[TypedDict("_Copies", _LEFT_OUT)]}
_METRICS_FORM = TypeAdapter(TypedDict("_Metrics", {**_SETTINGS, **_MEASURED, **_COPIES}))
_VERSION_FORM = TypeAdapter(TypedDict("_Version", {"benchmark_version": NotRequired[str]}))


def part_of(row: dict) -> tuple[str, ...]:
    """The :data:`PART` that a row is of."""
    return tuple(row[key] for key in PART)


def version_of(folder: Path) -> str | None:
    """The benchmark version of a folder of results; None where no run is measured."""
    for file in folder.glob(f"runs/*/*/*/*/*/{paths.METRICS_FILE}"):
        return read_json(file, MEASURE_AGAIN, _VERSION_FORM).get("benchmark_version")
    return None


@dataclass(frozen=True)
class Measured:
    """What a run left."""

    run: Run
    record: dict  # run.json
    metrics: dict  # metrics.json
    history: pd.DataFrame  # history.csv; empty for a control without a training
    altered: tuple[str, ...] = ()  # its files that are not what its jobs wrote

    @property
    def rows(self) -> list[dict]:
        """What was measured, in long form. No table: building one takes longer than all rules."""
        return self.metrics["metrics"]

    def sizes(self) -> dict[tuple[str, ...], dict[str, int]]:
        """:data:`SIZES` of each part, by :data:`PART`; results of before 1.2 have them of few."""
        parts = [part for part in self.metrics["parts"] if "copies" in part]
        return {part_of(part): {key: part[key] for key in SIZES} for part in parts}

    def collapsed(self) -> list[tuple[str, ...]]:
        """Selection and :data:`PART` wherever all embeddings lie on one point."""
        found = [vectors for vectors in self.metrics["vectors"] if vectors.get("one_point")]
        return [(vectors["selection"], *part_of(vectors)) for vectors in found]

    def recalls(self) -> list[dict]:
        """The rows of Recall@K, where it is defined."""
        return [r for r in self.rows if r["metric"] == "recall" and r["value"] is not None]


@dataclass
class Results:
    """Results of a config."""

    plan: Plan
    entries: list[LedgerEntry]
    #: What the finished runs left, in the config's order.
    measured: dict[Run, Measured] = field(default_factory=dict)
    #: The version of runs that were measured under another one, whose files may have another form.
    versions: dict[Run, str] = field(default_factory=dict)

    @classmethod
    def read(cls, plan: Plan, folder: Path | None = None) -> "Results":
        """Read every finished run of ``folder``, or of where the workflow keeps them.

        Raises:
            DataError: A file of a finished run is missing or damaged; names it, and what in it.
        """
        folder = folder or Path(paths.results(plan.benchmark.name))
        results = cls(plan, ledger(plan, folder))
        for run in (entry.run for entry in results.entries if entry.state == OK):
            place = paths.run_in(folder, run.id)
            measured, trained = place / paths.METRICS_FILE, place / "run.json"
            metrics = read_json(measured, MEASURE_AGAIN)
            version = metrics.get("benchmark_version") if isinstance(metrics, dict) else None
            if version != BENCHMARK_VERSION:
                results.versions[run] = str(version or "none")
                continue
            check_form(_METRICS_FORM, metrics, measured, MEASURE_AGAIN)
            # The ledger has looked at what all records have.
            record = read_json(trained, TRAIN_AGAIN, _TRAINED_FORM if run.trained else None)
            history = read_history(place / paths.HISTORY_FILE) if run.trained else pd.DataFrame()
            altered = tuple(_altered(run, place, record, metrics))
            results.measured[run] = Measured(run, record, metrics, history, altered)
        return results

    def duplicates(self) -> dict[str, dict]:
        """For each dataset how many images of its test are also in training, as measured."""
        told = {one.run.dataset: one.metrics.get("duplicates") for one in self.measured.values()}
        return {dataset: found for dataset, found in told.items() if found}

    def queries(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Each part in words with its :data:`SIZES`, the first of each dataset's that differ."""
        seen = set()
        for one in self.measured.values():
            for part, sizes in one.sizes().items():
                words = " ".join(filter(None, (f"{one.run.dataset},", *part)))
                key = (words, sizes["unmatched"], sizes["copies"])
                if key not in seen:
                    seen.add(key)
                    yield words, sizes

    @property
    def trained(self) -> Iterator[Measured]:
        """The runs that are trainings."""
        return (m for m in self.measured.values() if m.run.trained)

    def comparisons(self) -> Iterator[tuple[str, list[Measured]]]:
        """For each experiment what stands in its table, controls last."""
        for name in self.plan.benchmark.experiments:
            runs = [*self.plan.experiment_runs(name), *self.plan.controls[name].values()]
            yield name, [self.measured[run] for run in runs if run in self.measured]


def _altered(run: Run, place: Path, record: dict, metrics: dict) -> Iterator[str]:
    """The names of a run's files that are not what its jobs wrote."""
    if not is_sealed(record):
        yield "run.json"
    if not is_sealed(metrics) or metrics["run"] != vars(run):
        yield paths.METRICS_FILE
    if run.trained:
        written = record["outputs"].get(paths.HISTORY_FILE)
        if written != checksum_of(place / paths.HISTORY_FILE):
            yield paths.HISTORY_FILE
