"""How long a large table of one's own images is read and checked, and in what memory.

    python benchmarks/tables.py                  # 1,000,000 rows as CSV and as Parquet; two minutes
    python benchmarks/tables.py --rows 100000

Makes empty files for all rows in a temporary folder, 1,000 in each folder: every path is looked
for.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

IN_A_FOLDER, IN_A_CLASS = 1000, 5


def make(folder: Path, rows: int) -> None:
    """The table with all columns, as CSV and Parquet, and its files."""
    number = np.arange(rows)
    for place in range(-(-rows // IN_A_FOLDER)):
        inside = folder / f"images/{place:04d}"
        inside.mkdir(parents=True)
        for image in range(place * IN_A_FOLDER, min(rows, (place + 1) * IN_A_FOLDER)):
            (inside / f"{image:07d}.jpg").touch()
    table = pd.DataFrame(
        {
            "path": [f"images/{n // IN_A_FOLDER:04d}/{n:07d}.jpg" for n in number.tolist()],
            "label": [f"{n // IN_A_CLASS:06d}" for n in number.tolist()],
            "split": np.where(number < rows // 2, "train", "test"),
            "role": np.where(number < rows // 2, "", np.where(number % 5 == 0, "query", "gallery")),
            "group": [f"shot {n}" for n in number.tolist()],
            "box": "0 0 100 120",
        }
    )
    table.to_csv(folder / "images.csv", index=False)
    table.to_parquet(folder / "images.parquet")


def read(file: str) -> None:
    """Read and check one table, and say how long it took; in a process of its own."""
    from dmlbench.config.own_datasets import own_facts
    from dmlbench.config.own_images import TableDataset

    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    facts = own_facts(TableDataset(table=file))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took, cpu = time.perf_counter() - start, time.process_time()
    images = facts.counts["train"] + facts.counts["test"]
    print(
        f"{Path(file).name}: {images:,} rows in {took:.1f} s, {cpu:.1f} s of processor time; peak "
        f"{peak / 1024:,.0f} MB, {before / 1024:,.0f} MB of it before"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.read)
    else:
        with tempfile.TemporaryDirectory() as made:
            make(Path(made), options.rows)
            for name in ("images.csv", "images.parquet"):
                command = [sys.executable, __file__, "--read", f"{made}/{name}"]
                subprocess.run(command, check=True)
