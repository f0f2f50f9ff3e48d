#!/usr/bin/env python
"""How long check, collect and tables take for 2,000 runs that are made up.

    python benchmarks/reporting.py               # about a minute on 2 cores
    python benchmarks/reporting.py --seeds 5

The runs are those of config.yaml with more seeds; no training, no images. Each step is a process of
its own, two at a time, as the workflow runs them.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from dmlbench import paths
from dmlbench.config import resolve_config

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "unit"))

from made_results import make_results  # noqa: E402


def main() -> None:
    """Make runs, then time the steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="of each method")
    parser.add_argument("--jobs", type=int, default=2, help="steps at a time")
    options = parser.parse_args()
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    plan = resolve_config({**config, "seeds": list(range(options.seeds))}, "config.yaml")
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / paths.results(plan.benchmark.name)
        make_results(plan, results)
        print(f"{len(plan.all_runs):,} runs, {len(plan.benchmark.experiments)} experiments")
        name = plan.benchmark.name
        given = ["--config", paths.resolved_config(name)]
        check = ["check", paths.results(name), "--ledger", paths.ledger(name), *given]
        tables = [["tables", "--experiment", e, *given] for e in plan.benchmark.experiments]
        tables += [["tables", "--overview", o, *given] for o in paths.OVERVIEWS]
        total = time.monotonic()
        for what, steps in (
            ("check", [check]),
            ("collect", [["collect", *given]]),
            ("tables", tables),
        ):
            started = time.monotonic()
            with ThreadPoolExecutor(options.jobs) as pool:
                list(pool.map(lambda step: run(step, folder), steps))
            print(f"{what}: {time.monotonic() - started:.1f} s")
        print(f"together: {time.monotonic() - total:.1f} s")


def run(step: list[str], folder: str) -> None:
    """One script of the workflow, in ``folder``."""
    script = ROOT / "workflow_scripts" / f"{step[0]}.py"
    done = subprocess.run(
        [sys.executable, script, *step[1:]], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)


if __name__ == "__main__":
    main()
