#!/usr/bin/env python
"""What small trainings gain by sharing Slurm jobs: MNIST, with and without `runs_per_job`.

    python benchmarks/shared_jobs.py --runs 500 --single 100 --mirror FOLDER   # 50 minutes

Starts the private Slurm of tests/slurm, on two CPUs, and has Snakemake submit that many real
trainings of configs/mnist.yaml, of one epoch each and with a small network, to it through the
profile. FOLDER/mnist holds the four archives. Prints the seconds of both ways for each training.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "slurm")]

from private_slurm import PrivateSlurm, missing  # noqa: E402
from slurm_case import checkout  # noqa: E402


def main(runs: int, single: int, each: int, mirror: Path) -> None:
    """Train ``runs`` in jobs of ``each``, then the first ``single`` of them one in a job."""
    if why := missing():
        sys.exit(f"no Slurm: {why}")
    root = Path(tempfile.mkdtemp(prefix="dmlbench-shared-"))
    root.chmod(0o755)  # munge insists
    cluster = PrivateSlurm(root / "s", accounting=False)
    (root / "s").mkdir()
    try:
        cluster.start()
        (root / "checkout").mkdir()
        folder = checkout(root / "checkout")
        seconds = {}
        for number, per_job in ((runs, each), (single, 1)):
            write_config(folder, number, per_job, mirror)
            call(folder, cluster, "-c2", "--until", "prepare")
            started = time.monotonic()
            call(
                folder, cluster, "--profile", "slurm", "--until", "train", *bundles(number, per_job)
            )
            seconds[per_job] = (time.monotonic() - started) / number
            made = len(list((folder / f"results/shared{per_job}").rglob("run.json")))
            print(
                f"{made} of {number} trainings, {per_job} in a job: {seconds[per_job]:.2f} s each"
            )
        print(f"single / shared: {seconds[1] / seconds[each]:.2f}")
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)


def write_config(folder: Path, runs: int, per_job: int, mirror: Path) -> None:
    """The MNIST config with as many seeds as two methods need, and jobs of ``per_job``."""
    config = yaml.safe_load((folder / "configs/mnist.yaml").read_text())
    config |= {"name": f"shared{per_job}", "seeds": list(range(runs // 2)), "controls": []}
    config |= {"selections": ["last"], "data": {"mirror": str(mirror.resolve())}}
    config["projection"]["selection"] = "last"
    config["recipes"]["mnist_2d"] |= {"epochs": 1, "validation": 0, "widths": [4, 8]}
    ask = {"runs_per_job": per_job, "gpu": 0, "mem_mb": 2000, "partition": "long"}
    config["resources"] = {"train": ask}
    (folder / "test.yaml").write_text(json.dumps(config))


def bundles(runs: int, per_job: int) -> list[str]:
    """The rules of jobs with several runs, which --until has to name."""
    return (
        [f"train_bundle_{number}" for number in range(-(-runs // per_job))] if per_job > 1 else []
    )


def call(folder: Path, cluster: PrivateSlurm, *arguments: str) -> None:
    """Call Snakemake, and end where it fails."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "test.yaml"]
    environment = cluster.environment | {"PYTHONPATH": str(folder / "workflow_scripts")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit((done.stdout + done.stderr)[-3000:])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--single", type=int, default=100, help="trainings in jobs of their own")
    parser.add_argument("--each", type=int, default=10, help="runs_per_job")
    parser.add_argument("--mirror", type=Path, required=True)
    options = parser.parse_args()
    main(options.runs, options.single, options.each, options.mirror)
