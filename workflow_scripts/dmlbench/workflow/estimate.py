"""What a training will take: hours from what ran before, and bytes on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.config.frozen import uses_features
from dmlbench.files import read_parquet
from dmlbench.plugins.image_transforms import output_side
from dmlbench.plugins.timm_names import image_config

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


class Cost(NamedTuple):
    """The seconds that one training takes; how they are known; the device they were measured on."""

    seconds: float
    basis: str
    device: str = ""


def finished_trainings(results: Path) -> pd.DataFrame:
    """What the finished trainings of all configs below the folder ``results`` took."""
    rows = []
    for file in sorted(results.glob("*/runs/*/*/*/*/*/run.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        history = file.with_name(paths.HISTORY_FILE)
        if record.get("seconds") and history.is_file():
            epoch = record["seconds"] / record["run"]["recipe"]["epochs"]
            rate = pd.read_csv(history)["images_per_second"].median()
            rows.append((*_keys(record["run"]), epoch, rate, record.get("gpu") or record["device"]))
    return pd.DataFrame(rows, columns=[*BASES[:3], "epoch", "rate", "device"])


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
