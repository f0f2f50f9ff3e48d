"""Rules: the numbers can be what they say they are."""

import math
from collections.abc import Hashable, Iterator

import numpy as np

from dmlbench.checking.ledger import OK
from dmlbench.checking.results import Measured, Results
from dmlbench.checking.rule import MEASURE_AGAIN, TRAIN_AGAIN, Breach, rule
from dmlbench.config import RANDOM
from dmlbench.evaluation.metric import METRICS, find_measure

PART = ["split", "subset", "label"]
#: The subset of a test whose classes training knew, such as MNIST's digits 0-5.
SEEN = "seen"
#: What rounding may add to a range.
_ROUNDING = 1e-9
#: In the place of k where the config does not say it, such as the number of clusters.
_ANY = -1
#: How far from 1 the length of a normalised float32 vector may be.
_UNIT = 1e-4
#: How many standard deviations a random embedding may be from chance.
_CHANCE = 5


@rule("R01", "1.0", "Every planned run is there, controls included; or the config says partial.")
def complete(results: Results) -> Iterator[Breach]:
    if results.plan.benchmark.partial:
        return
    for entry in results.entries:
        if entry.state != OK:
            log = f" ({entry.log})" if entry.log else ""
            remedy = "run the pipeline to the end, or set partial: true to print k/n"
            yield Breach(entry.run.id, f"{entry.state}: {entry.reason}{log}", remedy)


@rule("R10", "1.0", "No test class was trained on, unless the part of the test says so (seen).")
def disjoint(results: Results) -> Iterator[Breach]:
    for one in results.measured.values():
        for part in one.metrics["parts"]:
            if part["split"] == "test" and part["subset"] != SEEN and part["trained_classes"]:
                what = (
                    f"{_words(part)}: {part['trained_classes']} of {part['classes']} classes were "
                    "trained on"
                )
                yield Breach(one.run.id, what, "prepare the dataset again with its own split")


@rule("R11", "1.0", "Queries and gallery are as many as the dataset's published counts say.")
def counts(results: Results) -> Iterator[Breach]:
    left_out: dict[Hashable, tuple[int, str]] = {}
    for one in results.measured.values():
        known = results.plan.facts(one.run.dataset).counts
        for part in one.metrics["parts"]:
            # Validation takes from the training images alone, and from all methods the same.
            same = (one.run.dataset, one.run.recipe, one.run.seed, *(part[key] for key in PART))
            held_out, by = left_out.setdefault(same, (part["held_out"], one.run.id))
            if part["split"] == "test" and part["held_out"]:
                what = f"{_words(part)}: {part['held_out']:,} images of the test were left out"
                yield Breach(one.run.id, what, MEASURE_AGAIN)
            elif part["held_out"] != held_out:
                what = f"{_words(part)}: {part['held_out']:,} images left out, {held_out:,} in {by}"
                yield Breach(one.run.id, what, MEASURE_AGAIN)
            where = f"{part['split']}/{part['subset']}" if part["subset"] else part["split"]
            expected = known.get(where, part["queries"] + part["held_out"]) - part["held_out"]
            if (part["queries"], part["gallery"]) != (expected, expected - 1):
                what = (
                    f"{_words(part)}: {part['queries']:,} queries in {part['gallery']:,} images, "
                    f"should be {expected:,} in {expected - 1:,}"
                )
                yield Breach(one.run.id, what, MEASURE_AGAIN)


@rule("R12", "1.0", "Every metric is a number in its range, or absent with the reason.")
def finite(results: Results) -> Iterator[Breach]:
    for one in results.measured.values():
        for row in one.rows:
            value = row["value"]
            if value is None and row["note"]:
                continue
            ok = value is not None and math.isfinite(value)
            known = find_measure(row["metric"])
            if known is None:
                what = f"{_words(row)}: no metric stores {row['metric']}"
                yield Breach(one.run.id, what, MEASURE_AGAIN)
            elif not ok or not known.low - _ROUNDING <= value <= known.high + _ROUNDING:
                what = f"{_words(row)}: {row['metric']} is {value}"
                yield Breach(one.run.id, what, MEASURE_AGAIN)
    for one in results.trained:
        bad = one.history.loc[~np.isfinite(one.history["loss"]), "epoch"].tolist()
        if bad:
            yield Breach(one.run.id, f"the loss of epoch {bad[0]} is no number", TRAIN_AGAIN)


@rule("R13", "1.0", "Embeddings have the recipe's dimension, length 1 if it says so, and no gap.")
def vectors(results: Results) -> Iterator[Breach]:
    for one in results.measured.values():
        recipe = one.record["run"]["recipe"]
        queries = {tuple(p[key] for key in PART): p["queries"] for p in one.metrics["parts"]}
        there = {_where(found) for found in one.metrics["vectors"]}
        for selection in results.plan.selections(one.run):
            for part in queries:
                if (selection, *part) not in there:
                    where = " ".join(filter(None, (selection, *part)))
                    yield Breach(one.run.id, f"{where}: embeddings are missing", "embed it again")
        for found in one.metrics["vectors"]:
            where = _words(found)
            if found["vectors"] != queries.get(tuple(found[key] for key in PART)):
                yield Breach(one.run.id, f"{where}: embeddings are missing", "embed it again")
            has_head = one.run.trained or one.run.loss == RANDOM
            if has_head and found["dimension"] != recipe["embedding_dim"]:
                what = f"{where}: dimension {found['dimension']}, not {recipe['embedding_dim']}"
                yield Breach(one.run.id, what, "embed it again")
            off = max(abs(found["shortest"] - 1), abs(found["longest"] - 1))
            if recipe["normalize"] and off > _UNIT:
                lengths = f"{found['shortest']:.4g} to {found['longest']:.4g}"
                what = f"{where}: lengths {lengths}, but the recipe normalises"
                yield Breach(one.run.id, what, "embed it again")


@rule("R14", "1.0", "Recall@K does not fall as K rises.")
def rising(results: Results) -> Iterator[Breach]:
    for one in results.measured.values():
        reached: dict[tuple, float] = {}
        for row in sorted(one.recalls(), key=lambda row: row["k"]):
            if row["value"] < reached.get(_where(row), 0.0):
                what = f"{' '.join(filter(None, _where(row)))}: R@{row['k']} is lower than before"
                yield Breach(one.run.id, what, MEASURE_AGAIN)
            reached[_where(row)] = row["value"]


@rule("R15", "1.0", "Training reached its last epoch, epoch by epoch.")
def last_epoch(results: Results) -> Iterator[Breach]:
    for one in results.trained:
        epochs = one.record["run"]["recipe"]["epochs"]
        found = one.history["epoch"].tolist()
        if found != list(range(1, epochs + 1)):
            what = f"the history ends at epoch {max(found, default=0)} of {epochs} or has gaps"
            yield Breach(one.run.id, what, TRAIN_AGAIN)
        last = one.record["selected_epochs"].get("last", epochs)
        if last != epochs:
            what = f"the weights of the last epoch are of epoch {last} of {epochs}"
            yield Breach(one.run.id, what, TRAIN_AGAIN)


@rule("R16", "1.0", "A random embedding scores chance.")
def chance(results: Results) -> Iterator[Breach]:
    for one in results.measured.values():
        if one.run.loss != RANDOM:
            continue
        expected = {tuple(p[key] for key in PART): p for p in one.metrics["parts"]}
        for row in (row for row in one.recalls() if row["k"] == 1):
            part = expected[tuple(row[key] for key in PART)]
            spread = math.sqrt(part["chance"] * (1 - part["chance"]) / part["queries"])
            if abs(row["value"] - part["chance"]) > _CHANCE * spread:
                what = f"{_words(part)}: R@1 {row['value']:.3f}, chance is {part['chance']:.3f}"
                yield Breach(one.run.id, what, "labels leak into the measurement; report this bug")


@rule("R17", "1.0", "Every metric of every selection and part is there once, and no other.")
def once(results: Results) -> Iterator[Breach]:
    measured = _measured_anywhere(results)
    for one in results.measured.values():
        planned = set(results.plan.selections(one.run))
        seen = set()
        for row in one.rows:
            key = (row["selection"], *_metric(row))
            if key in seen:
                yield Breach(one.run.id, f"{_words(row)} is there twice", MEASURE_AGAIN)
            seen.add(key)
        if more := sorted({key[0] for key in seen} - planned):
            what = f"holds metrics of weights that the config does not select: {', '.join(more)}"
            yield Breach(one.run.id, what, MEASURE_AGAIN)
        seen |= {(*key[:-1], _ANY) for key in seen}
        wanted = measured[one.run.dataset] | set(_asked(results, one))
        lacking = {(selection, *metric) for selection in planned for metric in wanted} - seen
        if lacking:
            *where, metric, k = min(lacking)
            name = f"R@{k}" if metric == "recall" else metric
            what = f"{' '.join(filter(None, where))}: {name} was not measured"
            yield Breach(one.run.id, what, MEASURE_AGAIN)


def _measured_anywhere(results: Results) -> dict[str, set[tuple]]:
    """Of each dataset what was measured of any of its runs: part, metric and k."""
    found: dict[str, set[tuple]] = {}
    for one in results.measured.values():
        found.setdefault(one.run.dataset, set()).update(_metric(row) for row in one.rows)
    return found


def _asked(results: Results, one: Measured) -> Iterator[tuple]:
    """What the config asks to be measured of every part: part, metric and k."""
    settings = results.plan.benchmark.evaluation
    for part in results.plan.facts(one.run.dataset).evaluations:
        if part.split not in settings.splits:
            continue
        for name in settings.metrics:
            if name == "recall":
                yield from ((*part, name, k) for k in settings.recall_at)
            elif name in METRICS.get(name).measures and (
                name != "nmi_plus" or settings.nmi_plus_of(part[2])
            ):
                yield (*part, name, _ANY)


def _metric(row: dict) -> tuple:
    """Part, metric and k of a row."""
    return (*(row[key] for key in PART), row["metric"], row["k"])


def _where(row: dict) -> tuple[str, ...]:
    """Selection and part of a row."""
    return (row["selection"], *(row[key] for key in PART))


def _words(part: dict) -> str:
    """A part, or a row of a part, in words."""
    names = ("selection", "split", "subset", "label", "metric")
    return " ".join(str(part[name]) for name in names if part.get(name))
