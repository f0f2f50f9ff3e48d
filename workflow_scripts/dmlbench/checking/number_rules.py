"""Rules: the numbers can be what they say they are."""

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterator

import numpy as np

from dmlbench.checking.check import Breach, rule, run_rule
from dmlbench.checking.ledger import LEARNT_NOTHING, OK
from dmlbench.checking.results import PART, Measured, Results, part_of
from dmlbench.config import RANDOM, UNTRAINED
from dmlbench.config.dataset_facts import clusters_per_class
from dmlbench.evaluation.metric import METRICS, find_measure
from dmlbench.workflow.job_records import MEASURE_AGAIN, STOOD_STILL, TRAIN_AGAIN

#: The subset of a test whose classes were trained on, such as MNIST's digits 0-5.
SEEN = "seen"
_ROUNDING = 1e-9  #: what rounding may add to a range
_ANY = -1  #: stands for k where the config does not say it, such as the number of clusters
_UNIT = 1e-4  #: how far from 1 the length of a normalised float32 vector may be
_CHANCE = 5  #: standard deviations that a random embedding may be from chance


@rule("R01", "Every planned run is there, controls included; or the config says partial.")
def complete(results: Results) -> Iterator[Breach]:
    if results.plan.benchmark.partial:
        return
    for entry in results.entries:
        if entry.state not in (OK, LEARNT_NOTHING):  # R18 and R22 say it of the latter
            log = f" ({entry.log})" if entry.log else ""
            remedy = "run the pipeline to the end, or set partial: true to print k/n"
            yield Breach(entry.run.id, f"{entry.state}: {entry.reason}{log}", remedy)


@run_rule(
    "R10",
    "No test class was trained on, unless the part of the test (seen) or the dataset says so.",
    "prepare the dataset again with its own split",
)
def disjoint(results: Results, one: Measured) -> Iterator[str]:
    shared = results.plan.facts(one.run.dataset).shared_labels
    for part in one.metrics["parts"]:
        known, may = part["trained_classes"], part["subset"] == SEEN or part["label"] in shared
        if known and part["split"] == "test" and not may:
            yield f"{_words(part)}: {known} of {part['classes']} classes were trained on"


@rule("R11", "Queries and gallery are as many as the dataset's published counts say.")
def counts(results: Results) -> Iterator[Breach]:
    left_out: dict[Hashable, tuple[int, str]] = {}
    for one in results.measured.values():
        facts = results.plan.facts(one.run.dataset)
        known = facts.counts
        for part in one.metrics["parts"]:
            # Validation takes training images only, the same for all methods.
            same = (one.run.dataset, one.run.recipe, one.run.seed, *part_of(part))
            mine, what = part["held_out"], ""
            held_out, by = left_out.setdefault(same, (mine, one.run.id))
            where = "/".join(filter(None, (part["split"], part["subset"])))
            there = part["queries"], part["gallery"]
            # Its own validation images are no part of its training split.
            drawn = 0 if facts.own_validation else mine
            copies = one.metrics.get("duplicates", {}).get("left_out", {})
            out = copies.get(_words(part), (0, 0))
            queries = known.get(where, there[0] + drawn + out[0]) - drawn - out[0]
            expected = queries, queries - 1
            if part["split"] == "test" and facts.roles:
                roles = zip(("query", "gallery"), there, out, strict=True)
                expected = tuple(known.get(f"{where}@{role}", n + o) - o for role, n, o in roles)
            if part["split"] == "test" and mine:
                what = f"{mine:,} images of the test were left out"
            elif mine != held_out:
                what = f"{mine:,} images left out, {held_out:,} in {by}"
            elif there != expected:
                what = "{:,} queries in {:,} images, should be {:,} in {:,}"
                what = what.format(*there, *expected)
            if what:
                yield Breach(one.run.id, f"{_words(part)}: {what}", MEASURE_AGAIN)


@rule("R12", "Every metric is a number in its range, or absent with the reason.")
def finite(results: Results) -> Iterator[Breach]:
    for one in results.measured.values():
        for row in one.rows:
            value, known = row["value"], find_measure(row["metric"])
            if value is None and row["note"]:
                continue
            if known is None:
                what = f"no metric stores {row['metric']}"
            elif value is None or not (
                math.isfinite(value) and known.low - _ROUNDING <= value <= known.high + _ROUNDING
            ):
                what = f"{row['metric']} is {value}"
            else:
                continue
            yield Breach(one.run.id, f"{_words(row)}: {what}", MEASURE_AGAIN)
    for one in results.trained:
        bad = one.history.loc[~np.isfinite(one.history["loss"]), "epoch"].tolist()
        if bad:
            yield Breach(one.run.id, f"the loss of epoch {bad[0]} is no number", TRAIN_AGAIN)


@run_rule(
    "R13",
    "Embeddings have the recipe's dimension, length 1 if it says so, and no gap.",
    "embed it again",
)
def vectors(results: Results, one: Measured) -> Iterator[str]:
    recipe = one.record["run"]["recipe"]
    # Of vectors that another model made, the recipe says nothing.
    has_head = one.run.loss != UNTRAINED and not one.run.features
    images = {part_of(p): p.get("images", p["queries"]) for p in one.metrics["parts"]}
    there = {_where(found): found["vectors"] for found in one.metrics["vectors"]}
    planned = itertools.product(results.plan.measured(one.run), images)
    for where in there | dict.fromkeys((selection, *part) for selection, part in planned):
        if there.get(where) != images.get(where[1:]):
            yield f"{' '.join(filter(None, where))}: embeddings are missing"
    for found in one.metrics["vectors"]:
        is_body = found["selection"] not in results.plan.selections(one.run)
        if has_head and not is_body and found["dimension"] != recipe["embedding_dim"]:
            yield f"{_words(found)}: dimension {found['dimension']}, not {recipe['embedding_dim']}"
        off = max(abs(found["shortest"] - 1), abs(found["longest"] - 1))
        if recipe["normalize"] and not one.run.features and off > _UNIT:
            lengths = f"{found['shortest']:.4g} to {found['longest']:.4g}"
            yield f"{_words(found)}: lengths {lengths}, but the recipe normalises"


@run_rule("R14", "Recall@K does not fall as K rises.")
def rising(results: Results, one: Measured) -> Iterator[str]:
    reached: dict[tuple, float] = {}
    for row in sorted(one.recalls(), key=lambda row: row["k"]):
        if row["value"] < reached.get(_where(row), 0.0):
            yield f"{_words(row)}: R@{row['k']} is lower than before"
        reached[_where(row)] = row["value"]


@run_rule("R15", "Training reached its last epoch, epoch by epoch.", TRAIN_AGAIN)
def last_epoch(results: Results, one: Measured) -> Iterator[str]:
    if not one.run.trained:
        return
    epochs = one.record["run"]["recipe"]["epochs"]
    found = one.history["epoch"].tolist()
    if found != list(range(1, epochs + 1)):
        yield f"the history ends at epoch {max(found, default=0)} of {epochs} or has gaps"
    last = one.record["selected_epochs"].get("last", epochs)
    if last != epochs:
        yield f"the weights of the last epoch are of epoch {last} of {epochs}"


@run_rule("R16", "A random embedding scores chance.", "labels leak; report this bug")
def chance(results: Results, one: Measured) -> Iterator[str]:
    expected = {part_of(part): part for part in one.metrics["parts"]}
    for row in one.recalls() if one.run.loss == RANDOM else []:
        part, value = expected[part_of(row)], row["value"]
        spread = math.sqrt(part["chance"] * (1 - part["chance"]) / part["queries"])
        if row["k"] == 1 and abs(value - part["chance"]) > _CHANCE * spread:
            yield f"{_words(part)}: R@1 {value:.3f}, chance is {part['chance']:.3f}"


@rule("R17", "Every metric of every selection and part is there once, and no other.")
def once(results: Results) -> Iterator[Breach]:
    # What was measured in any run of a dataset: part, metric and k.
    measured: dict[str, set[tuple]] = {}
    for one in results.measured.values():
        found = ((*part_of(row), row["metric"], row["k"]) for row in one.rows)
        measured.setdefault(one.run.dataset, set()).update(found)
    for one in results.measured.values():
        for what in _not_once(results, one, measured[one.run.dataset]):
            yield Breach(one.run.id, what, MEASURE_AGAIN)


@rule("R18", "Training had something to learn from.", since="1.1")
def learnt(results: Results) -> Iterator[Breach]:
    remedy = (
        "take a sampler or margin that leaves something to learn, or classes of more images, and "
        "train again; or set partial: true to leave it out"
    )
    yield from _learnt_nothing(results, remedy, stood_still=False)


@run_rule(
    "R21",
    "Recall@1 of every part can vary.",
    "mend the images, or measure another label column or split",
    since="1.2",
)
def varying(results: Results, one: Measured) -> Iterator[str]:
    measured = {part_of(row) for row in one.recalls()}
    for part in one.metrics["parts"]:
        # Results of before 1.2 do not say how many are fixed.
        if part_of(part) in measured and part.get("fixed") == part["queries"]:
            yield (
                f"{_words(part)}: is the same for all embeddings: of {part['queries']:,} queries "
                f"{part['unmatched']:,} have no match, and {part['copies']:,} images are copies"
            )


@rule("R22", "Training moved the weights.", since="1.2")
def moved(results: Results) -> Iterator[Breach]:
    remedy = (
        "raise the learning rate or clip_grad_norm, or lower ema, and train again; or set "
        "partial: true to leave it out"
    )
    yield from _learnt_nothing(results, remedy, stood_still=True)


def _learnt_nothing(results: Results, remedy: str, *, stood_still: bool) -> Iterator[Breach]:
    if results.plan.benchmark.partial:  # it is left out, and tables name it
        return
    for entry in results.entries:
        if entry.state == LEARNT_NOTHING and (entry.reason == STOOD_STILL) == stood_still:
            yield Breach(entry.run.id, f"{entry.state}: {entry.reason}", remedy)


@run_rule(
    "R23",
    "The embeddings of a training do not all lie on one point; or the config says partial.",
    "lower the learning rate or take other negatives, and train again; or set partial: true, and "
    "tables mark it",
    since="1.2",
)
def spread(results: Results, one: Measured) -> Iterator[str]:
    if results.plan.benchmark.partial or not one.run.trained:
        return
    for where in one.collapsed():
        yield f"{' '.join(filter(None, where))}: collapsed: all embeddings lie on one point"


def _not_once(results: Results, one: Measured, measured: set[tuple]) -> Iterator[str]:
    planned = set(results.plan.measured(one.run))
    seen = Counter((*_where(row), row["metric"], row["k"]) for row in one.rows)
    for (*where, metric, _), number in seen.items():
        if number > 1:
            yield f"{' '.join(filter(None, where))} {metric} is there twice"
    if more := sorted({key[0] for key in seen} - planned):
        yield f"holds metrics of weights that the config does not select: {', '.join(more)}"
    there = set(seen) | {(*key[:-1], _ANY) for key in seen}
    wanted = measured | set(_asked(results, one))
    if lacking := {(selection, *key) for selection in planned for key in wanted} - there:
        *where, metric, k = min(lacking)
        name = f"R@{k}" if metric == "recall" else metric
        yield f"{' '.join(filter(None, where))}: {name} was not measured"


def _asked(results: Results, one: Measured) -> Iterator[tuple]:
    """What the config asks to be measured of every part: part, metric and k."""
    settings = results.plan.benchmark.evaluation
    for part in results.plan.facts(one.run.dataset).evaluations:
        for name in settings.metrics if part.split in settings.splits else []:
            if name == "recall":
                yield from ((*part, name, k) for k in settings.recall_at)
            elif name in METRICS.get(name).measures and (
                name != "nmi_plus" or clusters_per_class(settings, part[2])
            ):
                yield (*part, name, _ANY)


def _where(row: dict) -> tuple[str, ...]:
    """Selection and part of a row."""
    return (row["selection"], *part_of(row))


def _words(part: dict) -> str:
    """A part, or a row of a part, in words."""
    names = ("selection", *PART, "metric")
    return " ".join(str(part[name]) for name in names if part.get(name))
