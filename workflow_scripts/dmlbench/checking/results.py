"""What became of every planned run: the ledger, and what finished runs left, read for all rules."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NotRequired

import pandas as pd
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from dmlbench import BENCHMARK_VERSION, paths
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.files import checksum_of, naming, replacing
from dmlbench.workflow.job_records import (
    RUNNING,
    DamagedRecordError,
    is_sealed,
    learnt_nothing,
    not_moved,
    read_record,
    read_state,
)

OK, LEARNT_NOTHING, MISSING = "ok", "learnt nothing", "missing"
#: Every run has one of these.
STATES = (
    OK, RUNNING, LEARNT_NOTHING, "diverged", "out of memory", "out of time", "failed", MISSING,
)  # fmt: skip
#: The steps of a run, in their order.
_STEPS = ("train", "embed", "embed_pairs", "control", "control_pairs", "evaluate")
_TRAIN, _MEASURE = "train the run again", "measure it again"


@dataclass(frozen=True)
class LedgerEntry:
    """What became of one planned run."""

    run: Run
    state: str  # one of STATES; ok: it is trained as the config says, and measured
    reason: str = ""  # why it is not ok, in one line
    step: str = ""  # where it stopped; empty where that is not known
    log: str = ""  # of that step
    note: str = ""  # what of its images and tuples its training did not use, in one line


def ledger(plan: Plan, results: Path | None = None) -> list[LedgerEntry]:
    """The state of every planned run, in ``results`` or where the workflow keeps them."""
    results = results or Path(paths.results(plan.benchmark.name))
    return [_entry(plan, results, run) for run in plan.all_runs.values()]


def _entry(plan: Plan, results: Path, run: Run) -> LedgerEntry:
    folder = paths.run_in(results, run.id)
    reason = "not run yet"
    if (folder / "run.json").is_file():
        try:
            record = read_record(folder, plan.fingerprint(run))
            if (folder / paths.METRICS_FILE).is_file():
                entry = _measured(run, folder, record)
                return replace(entry, note="; ".join(filter(None, (unused(record), entry.note))))
            reason = "trained, not measured yet"
        except DamagedRecordError as error:
            return LedgerEntry(run, "failed", str(error), "train")
        except DataError:
            reason = "trained with other settings than the config's"
    for step in _STEPS:
        log = paths.log_in(results, step, run.id)
        if state := read_state(log):
            return LedgerEntry(run, state.state, state.reason, step, str(log))
    return LedgerEntry(run, MISSING, reason)


def _measured(run: Run, folder: Path, record: dict) -> LedgerEntry:
    """The state of a run that was trained and measured."""
    if not run.trained:
        return LedgerEntry(run, OK)
    try:
        history = _read_history(folder / paths.HISTORY_FILE)
    except DataError as error:
        return LedgerEntry(run, "failed", str(error), "train")
    if why := learnt_nothing(history.to_dict("records")) or not_moved(record.get("moved")):
        return LedgerEntry(run, LEARNT_NOTHING, why, "train")
    return LedgerEntry(run, OK, note=idle(history))


def idle(history: pd.DataFrame) -> str:
    """In how many epochs no tuple was active; empty where some always was, or none is counted."""
    number = int((history["active_tuples"] == 0).sum()) if "active_tuples" in history else 0
    return f"no active tuple in {number} of {len(history)} epochs" if number else ""


def unused(record: dict) -> str:
    """Which images a run held out or did not train on, by its record; empty where it has none."""
    images = record.get("images") or {}  # controls, and records before 1.1, have none
    told = {"never_drawn": "in no batch of any epoch", "without_positive": "alone in their class"}
    found = [f"{images[key]:,} {words}" for key, words in told.items() if images.get(key)]
    notes = (
        [f"{images['held_out']:,} images held out for validation"] if images.get("held_out") else []
    )
    if found:
        notes.append(f"of {images['images']:,} training images {' and '.join(found)}")
    return "; ".join(notes)


def as_table(entries: Iterable[LedgerEntry]) -> pd.DataFrame:
    """One row for each run: its names, state, reason, step, log and note."""
    columns = ["run", *Run.__dataclass_fields__, "state", "reason", "step", "log", "note"]
    rows = [{**vars(c.run), **vars(c), "run": c.run.id} for c in entries]
    return pd.DataFrame(rows, columns=columns)


def write_ledger(entries: Iterable[LedgerEntry], path: Path) -> None:
    """Write the ledger as CSV."""
    with replacing(path) as temporary:
        as_table(entries).to_csv(temporary, index=False)


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
_LENGTHS |= {"one_point": NotRequired[bool]}  # since 1.1
_Vectors = TypedDict("_Vectors", {**_PART, "selection": str, **_LENGTHS})
_VALUE = {"metric": str, "k": int, "value": float | None, "note": str}
_Row = TypedDict("_Row", {**_PART, "selection": str, **_VALUE})
_CONTROL = {"run": dict[str, Any], "fingerprint": str, "data": str}
_OF_TRAINING = {"initial_weights": str, "selected_epochs": dict[str, int], "files": dict[str, str]}
_OF_TRAINING |= {"outputs": dict[str, str]}
_MEASURED = {"parts": list[_Counts], "vectors": list[_Vectors], "metrics": list[_Row]}
_SETTINGS = {"fingerprint": str, "data": str, "code": str, "evaluation": dict[str, Any]}
_SETTINGS |= {"embeddings": dict[str, str]}
_CONTROL_FORM = TypeAdapter(TypedDict("_Control", _CONTROL))
_TRAINED_FORM = TypeAdapter(TypedDict("_Trained", {**_CONTROL, **_OF_TRAINING}))
_LEFT_OUT = {"same": int, "near": int, "left_out": dict[str, list[int]]}
_COPIES = {"duplicates": NotRequired[TypedDict("_Copies", _LEFT_OUT)]}
_METRICS_FORM = TypeAdapter(TypedDict("_Metrics", {**_SETTINGS, **_MEASURED, **_COPIES}))


def part_of(row: dict) -> tuple[str, ...]:
    """The :data:`PART` that a row is of."""
    return tuple(row[key] for key in PART)


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
        """:data:`SIZES` of each part, by :data:`PART`; results of before 1.1 have them of few."""
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
            metrics = _read(place / paths.METRICS_FILE, _MEASURE)
            version = metrics.get("benchmark_version") if isinstance(metrics, dict) else None
            if version != BENCHMARK_VERSION:
                results.versions[run] = str(version or "none")
                continue
            _validate(_METRICS_FORM, metrics, place / paths.METRICS_FILE, _MEASURE)
            record = _read(place / "run.json", _TRAIN)
            form = _TRAINED_FORM if run.trained else _CONTROL_FORM
            _validate(form, record, place / "run.json", _TRAIN)
            history = _read_history(place / paths.HISTORY_FILE) if run.trained else pd.DataFrame()
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


def _read(file: Path, remedy: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error}); {remedy}") from None


def _altered(run: Run, place: Path, record: dict, metrics: dict) -> Iterator[str]:
    """The names of a run's files that are not what its jobs wrote."""
    if not is_sealed(metrics) or metrics["run"] != vars(run):
        yield paths.METRICS_FILE
    written = record.get("outputs", {}).get(paths.HISTORY_FILE)
    if written and written != checksum_of(place / paths.HISTORY_FILE):
        yield paths.HISTORY_FILE


def _validate(form: TypeAdapter, content: object, file: Path, remedy: str) -> None:
    try:
        form.validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "top level"
        raise DataError(f"{file}: {where}: {first['msg'].lower()}; {remedy}") from None


def _read_history(file: Path) -> pd.DataFrame:
    try:
        with naming(file):
            history = pd.read_csv(file)
    except (FileNotFoundError, ValueError) as error:  # a disk that fails says so itself
        raise DataError(f"{file}: cannot be read ({error}); {_TRAIN}") from None
    for column in ("epoch", "steps", "loss"):
        if column not in history or not pd.api.types.is_numeric_dtype(history[column]):
            raise DataError(f"{file}: has no numbers in a column '{column}'; {_TRAIN}")
    return history
