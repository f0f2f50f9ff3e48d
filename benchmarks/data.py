#!/usr/bin/env python
"""Time preparing and reading images against decoding JPEGs in a torch DataLoader.

Same images, same crops by kind, one process, contestants taking turns; medians, and ratios.
    python benchmarks/data.py             # images a second
    python benchmarks/data.py --memory    # peak memory of prepare, a process per case
"""

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from photographs import decoding, photograph

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.data.dataset import Dataset, Record
from dmlbench.data.decode import STORES
from dmlbench.data.prepare import prepare

SIZE, BATCH = 224, 112
#: Images, width and height of each case of ``--memory``.
MEMORY = [(100_000, 64, 64), (1_000, 500, 375), (4_000, 500, 375)]


def dataset_of(count: int, image: Callable[[int], bytes]) -> type[Dataset]:
    """A dataset of ``count`` training images."""

    class Photographs(Dataset):
        """Made images."""

        def records(self, raw: dict[str, str]) -> Iterator[Record]:
            for number in range(count):
                name = f"{number:06d}.jpg"
                yield Record(name, "train", {"label": number % 10}, image(number))

    facts = {"train_label": "label", "train_classes": 10, "evaluations": []}
    Photographs.name = "photographs"
    Photographs.facts = DatasetFacts(**facts, counts={"train": count}, mode="RGB")
    return Photographs


def reader(folder: Path, workers: int) -> Callable[[], int]:
    """One pass over a prepared store."""
    from dmlbench.config.recipe import Recipe
    from dmlbench.data.reader import ImageReader
    from dmlbench.data.store import ImageStore

    recipe = Recipe(
        backbone="resnet18", embedding_dim=128, batch_size=BATCH, epochs=1, image_size=SIZE,
        crop="random_resized",
    )  # fmt: skip
    images = ImageReader(ImageStore(folder), recipe.model_dump(mode="json"), workers)
    count = len(ImageStore(folder).index)
    rng = np.random.default_rng(0)

    def run() -> int:
        order = rng.permutation(count)
        rows = [order[n : n + BATCH] for n in range(0, count - BATCH + 1, BATCH)]
        return sum(len(batch) for batch in images.batches(rows, rows))

    return run


def speed_table(count: int, threads: int, rounds: int) -> str:
    """Images a second of everything, in Markdown."""
    import torch

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = [root / f"{number:06d}.jpg" for number in range(count)]
        for number, file in enumerate(files):
            file.write_bytes(photograph(number, 500, 375))
        size = sum(file.stat().st_size for file in files) / count / 1000
        print(f"{count} JPEGs of 500 x 375, {size:.0f} kB each, batches of {BATCH}\n")
        made = dataset_of(count, lambda number: files[number].read_bytes())

        def preparing(store: str) -> Callable[[], int]:
            return lambda: len(prepare(made, {}, root / store, store, threads))

        steps = {f"prepare, {store}": preparing(store) for store in STORES}
        for step in steps.values():
            step()
        usual = f"training batches, DataLoader with {threads} workers decoding"
        batches = decoding(files, BATCH, SIZE, threads)
        steps[usual] = lambda: sum(len(images) for images in batches)
        steps |= {
            f"training batches, store {store}": reader(root / store, threads) for store in STORES
        }
        speeds = {name: [] for name in steps}
        for number in range(rounds + 1):
            for name, step in steps.items():
                started = time.perf_counter()
                images = step()
                if number:  # the first one warms up: workers start, pages are read
                    speeds[name].append(images / (time.perf_counter() - started))
    median = {name: statistics.median(values) for name, values in speeds.items()}
    rows = []
    for name, value in median.items():
        row = {"": name, "images/s": f"{value:,.0f}"}
        row |= {"least": f"{min(speeds[name]):,.0f}", "most": f"{max(speeds[name]):,.0f}"}
        stored = name.startswith("training") and name != usual
        rows.append(row | {"/ decoding": f"{value / median[usual]:.1f}" if stored else ""})
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def memory(count: int, width: int, height: int, threads: int) -> tuple[float, float]:
    """Peak memory of this process in MB: before and after preparing ``count`` images."""
    few = [photograph(number, width, height) for number in range(50)]
    # Large images repeat: what is held of an image does not depend on its pixels.
    make = few.__getitem__ if width > 64 else lambda n: photograph(n, width, height)
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        made = dataset_of(count, make if width <= 64 else lambda number: make(number % len(few)))
        prepare(made, {}, Path(folder), "original", threads)
    return before / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_table(threads: int) -> str:
    """Peak memory of every case, each in a process of its own, in Markdown."""
    rows = []
    for count, width, height in MEMORY:
        case = [str(number) for number in (count, width, height)]
        command = [sys.executable, __file__, "--threads", str(threads), "--memory-of", *case]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        before, after = (float(number) for number in done.stdout.split())
        row = {"images": f"{count:,}", "size": f"{width} x {height}"}
        row |= {"before": f"{before:.0f} MB", "peak": f"{after:.0f} MB"}
        row["store"] = f"{count * width * height * 3 / 1e6:,.0f} MB"
        print(row, file=sys.stderr)  # it takes minutes
        rows.append(row)
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="threads of prepare, and DataLoader workers"
    )
    parser.add_argument("--images", type=int, default=600, help="JPEGs")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of each contestant")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of speed")
    parser.add_argument("--memory-of", nargs=3, type=int, metavar=("IMAGES", "WIDTH", "HEIGHT"))
    args = parser.parse_args()
    if args.memory_of:
        print(*memory(*args.memory_of, args.threads))
    elif args.memory:
        print(memory_table(args.threads))
    else:
        print(f"{platform.machine()}, {args.threads} threads")
        print(speed_table(args.images, args.threads, args.rounds))


if __name__ == "__main__":
    main()
