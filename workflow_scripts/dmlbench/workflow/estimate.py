"""What a training will take: hours from what ran before, and bytes on disk."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NotRequired

import pandas as pd
from pydantic import PositiveInt, TypeAdapter
from typing_extensions import TypedDict

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.config.frozen import uses_features
from dmlbench.errors import DataError
from dmlbench.files import naming, read_parquet
from dmlbench.plugins.image_transforms import output_side
from dmlbench.plugins.timm_names import image_config
from dmlbench.records import read_json

log = logging.getLogger(__name__)

#: Images a second by precision, where nothing like it has run here: those of a ResNet-50 at so many
#: pixels a side on one NVIDIA H100 (docs/presets.md).
ASSUMED_RATE, ASSUMED_SIZE = {"float32": 700.0, "tf32": 2300.0, "bfloat16": 3400.0}, 224
#: The same of stored features, by one core of a CPU (docs/speed.md).
ASSUMED_FEATURES = 30_000.0
#: A pass without gradients takes about a third of one with them.
FORWARD = 1 / 3
#: Numbers that a checkpoint holds for each weight: itself, and two of Adam's.
CHECKPOINT = 3
#: How a time is known, the best way first.
BASES = (
    "measured: other seeds of the same method",
    "measured: other methods on the same data with the same recipe",
    "measured: images per second of the same network on other data",
    f"assumed: as a ResNet-50 at {ASSUMED_SIZE} pixels on one H100, slower with larger images",
    f"assumed: {ASSUMED_FEATURES:,.0f} stored features a second, as on one CPU core",
)


class _RECIPE(TypedDict):
    epochs: PositiveInt


_SPEC = {"dataset": str, "recipe": _RECIPE, "loss": dict[str, Any], "sampler": dict[str, Any]}
_PAST = {"run": TypedDict("_Spec", _SPEC), "seconds": float, "device": str}
_PAST_FORM = TypeAdapter(TypedDict("_Past", {**_PAST, "gpu": NotRequired[str | None]}))
#: Keys of a recipe by which trainings are compared. Records of older versions lack some.
_COMPARED = (
    "backbone", "weights", "image_size", "mean_std", "crop", "train_transforms", "eval_transforms",
)  # fmt: skip


class Cost(NamedTuple):
    """The seconds that one training takes; how they are known; the device they were measured on."""

    seconds: float
    basis: str
    device: str = ""


def finished_trainings(results: Path) -> pd.DataFrame:
    """What the finished trainings of all configs below the folder ``results`` took.

    Left out, with a warning each, are those whose files are damaged; and those of older versions,
    which are counted.
    """
    rows, older = [], 0
    for file in sorted(results.glob("*/runs/*/*/*/*/*/run.json")):
        try:
            record = read_json(file, "its time is left out", _PAST_FORM)
            if not record["seconds"] or not file.with_name(paths.HISTORY_FILE).is_file():
                continue
            if set(_COMPARED) - set(record["run"]["recipe"]):
                older += 1
                continue
            epoch = record["seconds"] / record["run"]["recipe"]["epochs"]
            rate = _images_per_second(file.with_name(paths.HISTORY_FILE))
        except DataError as error:
            log.warning("%s", error)
            continue
        rows.append((*_keys(record["run"]), epoch, rate, record.get("gpu") or record["device"]))
    if older:
        log.warning("%s: the times of %d trainings of older versions are left out", results, older)
    return pd.DataFrame(rows, columns=[*BASES[:3], "epoch", "rate", "device"])


def _images_per_second(history: Path) -> float:
    """The median over a training's epochs."""
    try:
        with naming(history):
            rate = float(pd.read_csv(history)["images_per_second"].median())
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{history}: damaged ({error}); its time is left out") from None
    if not rate > 0:
        raise DataError(f"{history}: has no images_per_second; its time is left out")
    return rate


def training_cost(finished: pd.DataFrame, spec: dict, images: Callable[[], int]) -> Cost:
    """What a training with ``spec`` (:meth:`dmlbench.config.Plan.spec`) takes.

    ``images`` gives the number of images that one epoch trains on and measures; it is asked only
    where no run on this data is in the table of :func:`finished_trainings`.
    """
    recipe = spec["recipe"]
    epochs = recipe["epochs"]
    for basis, key in zip(BASES[:3], _keys(spec), strict=True):
        found = finished[finished[basis] == key]
        if len(found):
            by_rate = basis == BASES[2]
            epoch = images() / found["rate"].median() if by_rate else found["epoch"].mean()
            return Cost(epochs * epoch, basis, ", ".join(sorted(found["device"].unique())))
    if uses_features(recipe):
        return Cost(epochs * images() / ASSUMED_FEATURES, BASES[4])
    rate = ASSUMED_RATE[recipe["precision"]] * (ASSUMED_SIZE / _side(recipe)) ** 2
    return Cost(epochs * images() / rate, BASES[3])


def _side(recipe: dict) -> int:
    """Pixels a side of the images that the network trains on; 32 where only the dataset knows."""
    given = recipe["train_transforms"]
    if given is None and recipe["crop"] == "none":
        given = recipe["eval_transforms"]
    if given is not None:
        return output_side(given) or 32
    if recipe["image_size"] or recipe["mean_std"] != "weights":
        return recipe["image_size"] or 32
    return image_config(recipe["backbone"], recipe["weights"]).size


def _keys(spec: dict) -> tuple[str, str, str]:
    """What decides how long an epoch takes, for each of the measured ``BASES``."""
    left_out = {"name", "epochs", "labels", "optimizer", "test_fold"}
    recipe = {key: value for key, value in spec["recipe"].items() if key not in left_out}
    keys = ("backbone", "widths", "precision", "freeze", "chunk", "device")
    network = {key: recipe.get(key) for key in keys} | {"side": _side(recipe)}
    method = [{k: v for k, v in spec[kind].items() if k != "name"} for kind in ("loss", "sampler")]
    data = spec["dataset"], recipe
    return tuple(json.dumps(key, sort_keys=True) for key in ([data, method], data, network))


def images_of_split(plan: Plan, run: Run) -> dict[str, int]:
    """How many images each split of a run's data has: counted, or as published."""
    index = plan.data_folder(run) / paths.INDEX_FILE
    if index.is_file():
        counts = read_parquet(index, columns=["split"])["split"].value_counts().to_dict()
    else:
        known = plan.facts(run.dataset).counts
        counts = {k: v for k, v in known.items() if not {"/", ":", "@"} & set(k)}
    fold = f"fold{plan.recipes[run.recipe]['test_fold']}"
    if fold in counts:
        return {"train": sum(counts.values()) - counts[fold], "test": counts[fold]}
    return counts


def epoch_images(plan: Plan, run: Run) -> int:
    """Images of an epoch: those it trains on, and at a third each those of the test it measures."""
    counts, every = images_of_split(plan, run), plan.recipes[run.recipe]["monitor_every"]
    test = counts.get("test", 0) if "test_max" in plan.benchmark.selections else 0
    return round(counts.get("train", 0) + FORWARD * test / every)


def run_bytes(plan: Plan, run: Run, parameters: int) -> int:
    """What a run leaves on disk: weights and embeddings of each selection, and its checkpoint."""
    counts = images_of_split(plan, run)
    numbers = sum(counts.get(s, 0) for s in plan.benchmark.evaluation.splits)
    embeddings = numbers * plan.recipes[run.recipe]["embedding_dim"]
    kept = len(plan.benchmark.selections) * (parameters + embeddings)
    return 4 * (kept + CHECKPOINT * parameters)
