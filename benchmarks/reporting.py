#!/usr/bin/env python
"""How long check, collect, tables, figures and report take for 2,000 runs that are made up.

    python benchmarks/reporting.py               # 2 to 3 minutes, and up to 16 to make the runs up
    python benchmarks/reporting.py --seeds 3

Ten experiments with the eight methods of configs/demo.yaml and its data, no training. What is timed
is Snakemake, from its start to the end of the report, as a user calls it.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from dmlbench import paths
from dmlbench.config import load_config, read_config

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "unit"))

from made_up import make_up  # noqa: E402

EXPERIMENTS = 10
CONFIG = "made_up.yaml"


def main() -> None:
    """Make runs up, then time what is made of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=25, help="of each method")
    parser.add_argument("--cores", type=int, default=2, help="for Snakemake")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path(CONFIG).write_text(json.dumps(config(options.seeds)))
        plan = load_config(Path(CONFIG))
        data = plan.data_folder(next(iter(plan.runs.values())))
        snakemake(options.cores, str(data / paths.INDEX_FILE))
        make_up(plan, pd.read_parquet(data / paths.INDEX_FILE))
        # Each is waited for in turn, so that more at once are faster on any machine.
        snakemake(64, "results", "--touch", "--forceall")
        print(f"{len(plan.runs):,} trainings, {len(plan.benchmark.experiments)} experiments")
        started = time.monotonic()
        snakemake(options.cores, paths.report(plan.benchmark.name))
        total = time.monotonic() - started
        for rule, seconds in jobs(Path(paths.results(plan.benchmark.name)) / "benchmarks").items():
            print(f"{rule}: {len(seconds)} job(s), {sum(seconds):.1f} s")
        print(f"Snakemake from start to end: {total:.1f} s")


def config(seeds: int) -> dict:
    """The demo's methods with so many seeds, once for each of ten recipes."""
    made = read_config(ROOT / "configs" / "demo.yaml")
    recipe = next(iter(made["recipes"].values()))
    experiment = next(iter(made["experiments"].values()))
    names = [f"variant_{number}" for number in range(EXPERIMENTS)]
    made["seeds"] = list(range(seeds))
    made["recipes"] = {n: recipe | {"epochs": 5 + i} for i, n in enumerate(names)}
    made["experiments"] = {n: copy.deepcopy(experiment) | {"recipe": n} for n in names}
    return made | {"name": "made_up"}


def snakemake(cores: int, *arguments: str) -> None:
    """One call in the working directory; ends the benchmark where it fails."""
    command = [sys.executable, "-m", "snakemake", f"-c{cores}", *arguments]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--configfile", CONFIG]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def jobs(folder: Path) -> dict[str, list[float]]:
    """Seconds of each job that ran, by rule."""
    found: dict[str, list[float]] = {}
    for file in sorted(folder.rglob("*.tsv")):
        rule = file.relative_to(folder).parts[0].removesuffix(".tsv")
        found.setdefault(rule, []).append(pd.read_csv(file, sep="\t")["s"].sum())
    return found


if __name__ == "__main__":
    main()
