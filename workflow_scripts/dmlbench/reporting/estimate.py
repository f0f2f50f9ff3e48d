"""What a config will take before it runs: hours of training and disk, from what ran before."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run

#: Nothing like it has run here: a ResNet-50 trained on a current GPU in float32 sees about so many
#: images of 224 x 224 pixels a second. Other sizes go by their number of pixels.
ASSUMED_RATE, ASSUMED_SIZE = 300.0, 224
#: A pass without gradients takes about a third of one with them.
FORWARD = 1 / 3
#: Adam keeps two numbers for each weight; a checkpoint holds all three.
CHECKPOINT = 3


@dataclass(frozen=True)
class Cost:
    """What one training takes.

    Attributes:
        seconds: How long it trains.
        basis: How that is known, from best to worst one of :data:`BASES`.
        device: Of the runs it was measured on; empty where it is assumed.
    """

    seconds: float
    basis: str
    device: str = ""


BASES = (
    "measured: other seeds of the same method",
    "measured: other methods on the same data with the same recipe",
    "measured: images per second of the same network on other data",
    "assumed",
)


class History:
    """Finished trainings, of any config, to estimate others by.

    Args:
        results: The folder with the results of all configs.
    """

    def __init__(self, results: Path) -> None:
        rows = []
        for file in sorted(results.glob("*/runs/*/*/*/*/*/run.json")):
            record = json.loads(file.read_text(encoding="utf-8"))
            if record.get("seconds") and (file.parent / "history.csv").is_file():
                spec = record["run"]
                epochs = spec["recipe"]["epochs"]
                history = pd.read_csv(file.parent / "history.csv")
                rate = float(history["images_per_second"].median())
                rows.append(
                    {
                        "method": method_key(spec),
                        "setting": setting_key(spec),
                        "network": network_key(spec["recipe"]),
                        "per_epoch": record["seconds"] / epochs,
                        "rate": rate,
                        "device": record.get("gpu") or record["device"],
                    }
                )
        columns = ["method", "setting", "network", "per_epoch", "rate", "device"]
        self.table = pd.DataFrame(rows, columns=columns)

    def cost(self, spec: dict, images: Callable[[], int]) -> Cost:
        """What a training with ``spec`` takes.

        Args:
            spec: The resolved run (:meth:`dmlbench.config.Plan.spec`).
            images: Gives the number of images that one epoch trains on and measures; asked only
                where no run on this data is there.
        """
        epochs = spec["recipe"]["epochs"]
        keys = {"method": method_key(spec), "setting": setting_key(spec)}
        for basis, (column, key) in zip(BASES, keys.items(), strict=False):
            found = self.table[self.table[column] == key]
            if len(found):
                return Cost(epochs * found["per_epoch"].mean(), basis, _devices(found))
        found = self.table[self.table["network"] == network_key(spec["recipe"])]
        if len(found):
            seconds = epochs * images() / found["rate"].median()
            return Cost(seconds, BASES[2], _devices(found))
        size = spec["recipe"]["image_size"] or 32
        rate = ASSUMED_RATE * (ASSUMED_SIZE / size) ** 2
        return Cost(epochs * images() / rate, BASES[3])


def method_key(spec: dict) -> str:
    """All that decides how long an epoch takes."""
    method = [{k: v for k, v in spec[kind].items() if k != "name"} for kind in ("loss", "sampler")]
    return json.dumps([setting_key(spec), method], sort_keys=True)


def setting_key(spec: dict) -> str:
    """The same but for the method."""
    keys = ("batch_size", "embedding_dim", "hidden", "crop", "store", "validation", "monitor_every")
    recipe = spec["recipe"]
    return json.dumps([spec["dataset"], network_key(recipe), [recipe.get(key) for key in keys]])


def network_key(recipe: dict) -> str:
    """What decides how fast images go through a network."""
    keys = ("backbone", "widths", "image_size", "precision", "freeze_bn", "device")
    return json.dumps([recipe.get(key) for key in keys])


def _devices(found: pd.DataFrame) -> str:
    return ", ".join(sorted(found["device"].unique()))


def images_of_split(plan: Plan, run: Run) -> dict[str, int]:
    """How many images each split of a run's data has: counted, or as published."""
    index = plan.data_folder(run) / paths.INDEX_FILE
    if index.is_file():
        counts = pd.read_parquet(index, columns=["split"])["split"].value_counts().to_dict()
    else:
        known = plan.facts(run.dataset).get("counts", {})
        counts = {k: v for k, v in known.items() if "/" not in k and ":" not in k}
    fold = f"fold{plan.recipes[run.recipe]['test_fold']}"
    if fold in counts:
        return {"train": sum(counts.values()) - counts[fold], "test": counts[fold]}
    return counts


def epoch_images(counts: dict[str, int]) -> int:
    """Images of an epoch: those it trains on, and at a third each those it measures."""
    return round(counts.get("train", 0) + FORWARD * counts.get("test", 0))


def run_bytes(plan: Plan, run: Run, counts: dict[str, int], parameters: int) -> int:
    """What a run leaves on disk: weights and embeddings of each selection, and its checkpoint."""
    numbers = sum(counts.get(s, 0) for s in plan.benchmark.evaluation.splits)
    embeddings = numbers * plan.recipes[run.recipe]["embedding_dim"]
    kept = len(plan.benchmark.selections) * (parameters + embeddings)
    return 4 * (kept + CHECKPOINT * parameters)


def total(costs: Iterable[Cost]) -> pd.DataFrame:
    """Runs and hours for each basis, best basis first."""
    table = pd.DataFrame([vars(cost) for cost in costs], columns=["seconds", "basis", "device"])
    groups = table.groupby(["basis", "device"])["seconds"].agg(["size", "sum"]).reset_index()
    order = groups["basis"].map(BASES.index)
    groups = groups.iloc[order.argsort(kind="stable")]
    return groups.assign(hours=groups["sum"] / 3600).drop(columns="sum")
