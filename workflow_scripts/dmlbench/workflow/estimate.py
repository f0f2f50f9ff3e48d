"""What a training will take: hours from what ran before, and bytes on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run

#: Images a second, and their pixels a side, where nothing like it has run here.
ASSUMED_RATE, ASSUMED_SIZE = 300.0, 224
ASSUMED = (
    f"assumed are {ASSUMED_RATE:g} images of {ASSUMED_SIZE} x {ASSUMED_SIZE} pixels a second, in "
    "proportion for other sizes: about a ResNet-50 on a current GPU. One finished training of a "
    "network makes this a measurement"
)
#: A pass without gradients takes about a third of one with them.
FORWARD = 1 / 3
#: Adam keeps two numbers for each weight; a checkpoint holds all three.
CHECKPOINT = 3
#: How a time is known, the best way first.
BASES = (
    "measured: other seeds of the same method",
    "measured: other methods on the same data with the same recipe",
    "measured: images per second of the same network on other data",
    "assumed",
)


class Cost(NamedTuple):
    """The seconds that one training takes; how they are known; the device they were measured on."""

    seconds: float
    basis: str
    device: str = ""


class History:
    """The finished trainings of all configs below the folder ``results``."""

    def __init__(self, results: Path) -> None:
        rows = []
        for file in sorted(results.glob("*/runs/*/*/*/*/*/run.json")):
            record = json.loads(file.read_text(encoding="utf-8"))
            history = file.with_name("history.csv")
            if record.get("seconds") and history.is_file():
                epoch = record["seconds"] / record["run"]["recipe"]["epochs"]
                rate = pd.read_csv(history)["images_per_second"].median()
                device = record.get("gpu") or record["device"]
                rows.append((*_keys(record["run"]), epoch, rate, device))
        self._table = pd.DataFrame(rows, columns=[*BASES[:3], "epoch", "rate", "device"])

    def cost(self, spec: dict, images: Callable[[], int]) -> Cost:
        """What a training with ``spec`` (:meth:`dmlbench.config.Plan.spec`) takes.

        ``images`` gives the number of images that one epoch trains on and measures; it is asked
        only where no run on this data is there.
        """
        epochs = spec["recipe"]["epochs"]
        for basis, key in zip(BASES, _keys(spec), strict=False):
            found = self._table[self._table[basis] == key]
            if len(found):
                epoch = found["epoch"].mean()
                if basis == BASES[2]:
                    epoch = images() / found["rate"].median()
                return Cost(epochs * epoch, basis, ", ".join(sorted(found["device"].unique())))
        rate = ASSUMED_RATE * (ASSUMED_SIZE / (spec["recipe"]["image_size"] or 32)) ** 2
        return Cost(epochs * images() / rate, BASES[-1])


def _keys(spec: dict) -> tuple[str, str, str]:
    """What decides how long an epoch takes, for each of the measured ``BASES``."""
    recipe = spec["recipe"]
    keys = ("backbone", "widths", "image_size", "precision", "freeze_bn", "device")
    network = [recipe.get(key) for key in keys]
    keys = ("batch_size", "embedding_dim", "hidden", "crop", "store", "validation", "monitor_every")
    setting = [network, spec["dataset"], *(recipe.get(key) for key in keys)]
    method = [{k: v for k, v in spec[kind].items() if k != "name"} for kind in ("loss", "sampler")]
    return tuple(json.dumps(key, sort_keys=True) for key in ([setting, method], setting, network))


def images_of_split(plan: Plan, run: Run) -> dict[str, int]:
    """How many images each split of a run's data has: counted, or as published."""
    index = plan.data_folder(run) / paths.INDEX_FILE
    if index.is_file():
        counts = pd.read_parquet(index, columns=["split"])["split"].value_counts().to_dict()
    else:
        known = plan.facts(run.dataset).counts
        counts = {k: v for k, v in known.items() if "/" not in k and ":" not in k}
    fold = f"fold{plan.recipes[run.recipe]['test_fold']}"
    if fold in counts:
        return {"train": sum(counts.values()) - counts[fold], "test": counts[fold]}
    return counts


def epoch_images(plan: Plan, run: Run) -> int:
    """Images of an epoch: those it trains on, and at a third each those it measures."""
    counts = images_of_split(plan, run)
    return round(counts.get("train", 0) + FORWARD * counts.get("test", 0))


def run_bytes(plan: Plan, run: Run, parameters: int) -> int:
    """What a run leaves on disk: weights and embeddings of each selection, and its checkpoint."""
    counts = images_of_split(plan, run)
    numbers = sum(counts.get(s, 0) for s in plan.benchmark.evaluation.splits)
    embeddings = numbers * plan.recipes[run.recipe]["embedding_dim"]
    kept = len(plan.benchmark.selections) * (parameters + embeddings)
    return 4 * (kept + CHECKPOINT * parameters)
