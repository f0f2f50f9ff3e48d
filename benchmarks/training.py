#!/usr/bin/env python
"""Time the training step as users run it, against its ceiling and against a DataLoader.

    python benchmarks/training.py       # ResNet-18 at 64 pixels on a CPU, ResNet-50 at 224 on a GPU

The ceiling is the same step on images that are in memory already, made beforehand. The DataLoader
decodes the same JPEGs with torchvision's transforms, image by image. Same network, loss and
sampler, one process, contestants taking turns; medians.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch
from photographs import decoding, photograph
from torchvision import transforms

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.config.recipe import Recipe
from dmlbench.data.dataset import Dataset, Record
from dmlbench.data.prepare import prepare
from dmlbench.data.reader import IMAGENET_MEAN, IMAGENET_STD
from dmlbench.data.store import ImageStore
from dmlbench.training.loop import Trainer
from dmlbench.training.step import EpochRecord

BATCH, PER_CLASS = 112, 8
#: Backbone, image size and precision by kind of device.
CASES = {"cpu": ("resnet18", 64, "float32"), "cuda": ("resnet50", 224, "bfloat16")}


def photographs(folder: Path, count: int, classes: int = 16) -> tuple[list[Path], type[Dataset]]:
    """JPEG files of 500 x 375 in so many classes, and the dataset of them."""
    files = [folder / f"{number:06d}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        file.write_bytes(photograph(number, 500, 375))

    class Photographs(Dataset):
        """Made images."""

        def records(self, raw: dict[str, str]) -> Iterator[Record]:
            for number, file in enumerate(files):
                yield Record(file.name, "train", {"label": number % classes}, file.read_bytes())

    facts = {
        "train_label": "label",
        "train_classes": classes,
        "evaluations": [("test", "", "label")],
    }
    Photographs.name = "photographs"
    Photographs.facts = DatasetFacts(**facts, counts={"train": count}, mode="RGB")
    return files, Photographs


def trainer_of(
    dataset: type[Dataset], store: ImageStore, recipe: dict, per_class: int, threads: int
) -> Trainer:
    """A run of one epoch as the pipeline builds it, with random weights."""
    whole = {"epochs": 1} | recipe | {"validation": 0, "weights": "none", "mean_std": "imagenet"}
    sampler = {"positive": {"type": "easy"}, "negative": {"type": "semihard"}, "miner": None}
    spec = {
        "recipe": Recipe.model_validate(whole).model_dump(mode="json"),
        "loss": {"name": "triplet", "type": "triplet"},
        "sampler": {"per_class": per_class, **sampler},
        "seed": 0,
        "threads": threads,
        "selections": ["last"],
    }
    return Trainer(spec, dataset, store)


def recipe_of(device: str) -> dict:
    """What is timed on a device of this kind."""
    backbone, size, precision = CASES[device]
    return {
        "backbone": backbone,
        "embedding_dim": 128,
        "image_size": size,
        "crop": "random_resized",
        "mean_std": "imagenet",
        "batch_size": BATCH,
        "precision": precision,
        "device": device,
    }


def as_run(trainer: Trainer) -> Callable[[], int]:
    """One epoch through the trainer."""

    def run() -> int:
        trainer.progress.step, trainer.progress.record = 0, EpochRecord("triplet", 1, [])
        return trainer._pass()

    return run


def stepping(trainer: Trainer, images: Callable[[], Iterator[torch.Tensor]]) -> Callable[[], int]:
    """One epoch of the same steps on other images."""
    batch = trainer.recipe["batch_size"]
    labels = (torch.arange(batch) // trainer.spec["sampler"]["per_class"]).to(trainer.device)
    content = torch.arange(batch, device=trainer.device)
    generator = torch.Generator(trainer.device)

    def run() -> int:
        record, count = EpochRecord("triplet", 1, []), 0
        trainer.model.train()
        for batch in images():
            trainer.step.take(batch, labels, content, generator, record)
            count += len(batch)
        return count

    return run


def made_batch(trainer: Trainer) -> torch.Tensor:
    """A batch of noise as the reader gives them."""
    size = trainer.reader.size
    layout = torch.channels_last if trainer.device.type == "cuda" else torch.contiguous_format
    made = torch.randn(trainer.recipe["batch_size"], 3, size, size, device=trainer.device)
    return made.to(memory_format=layout)


def table(device: str, count: int, threads: int, rounds: int) -> str:
    """Images a second of the three, in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        files, dataset = photographs(Path(folder), count)
        prepare(dataset, {}, Path(folder) / "store", "original", threads)
        recipe = recipe_of(device)
        trainer = trainer_of(
            dataset, ImageStore(Path(folder) / "store"), recipe, PER_CLASS, threads
        )
        steps, size, made = count // BATCH, trainer.reader.size, made_batch(trainer)
        layout = torch.channels_last if trainer.device.type == "cuda" else torch.contiguous_format
        there = {"device": trainer.device, "non_blocking": True, "memory_format": layout}
        normalize = transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)
        on_gpu = trainer.device.type == "cuda"
        usual = decoding(files, BATCH, size, threads, normalize, pin_memory=on_gpu)
        contestants = {
            "as users run it": as_run(trainer),
            "the step on images in memory": stepping(trainer, lambda: (made for _ in range(steps))),
            f"DataLoader with {threads} workers decoding": stepping(
                trainer, lambda: (x.to(**there) for x in usual)
            ),
        }
        speeds: dict[str, list[float]] = {name: [] for name in contestants}
        for number in range(rounds + 1):
            for name, run in contestants.items():
                started = time.perf_counter()
                images = run()
                if trainer.device.type == "cuda":
                    torch.cuda.synchronize()
                if number:  # the first one warms up
                    speeds[name].append(images / (time.perf_counter() - started))
    median = {name: statistics.median(values) for name, values in speeds.items()}
    ceiling = median["the step on images in memory"]
    rows = [
        {
            "": name,
            "images/s": f"{value:,.0f}",
            "least": f"{min(speeds[name]):,.0f}",
            "most": f"{max(speeds[name]):,.0f}",
            "of the ceiling": f"{value / ceiling:.0%}",
        }
        for name, value in median.items()
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2, help="threads, and DataLoader workers")
    parser.add_argument("--images", type=int, default=672, help="JPEGs")
    parser.add_argument("--rounds", type=int, default=5, help="timed epochs of each")
    args = parser.parse_args()
    for device in ["cuda"] if torch.cuda.is_available() else ["cpu"]:
        backbone, size, precision = CASES[device]
        name = torch.cuda.get_device_name() if device == "cuda" else f"{args.threads} CPU threads"
        print(f"{backbone} at {size} pixels, batch {BATCH}, {precision}, {name}\n")
        print(table(device, args.images, args.threads, args.rounds))


if __name__ == "__main__":
    main()
