#!/usr/bin/env python
"""What thousands of Slurm jobs cost the machine that gives them out.

    python benchmarks/cluster_jobs.py --runs 2000

Starts the private Slurm of tests/slurm and has Snakemake submit that many trainings to it through
the profile. The cluster, its commands and Snakemake are real; the jobs are trivial: they make the
files that a training would. Prints seconds, the memory of Snakemake, and how often Slurm was asked.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "slurm")]

from private_slurm import PrivateSlurm, missing  # noqa: E402
from slurm_case import checkout, config  # noqa: E402

#: In the place of a command: notes the time of each call; sbatch has the job do next to nothing.
NOTED = """#!/bin/sh
date +%s >> {folder}/{name}.calls
exec {real} "$@"
"""
SBATCH = """#!/bin/bash
date +%s >> {folder}/sbatch.calls
words=()
for word; do case $word in
  --wrap=*target-jobs*train:*)
    id=$(sed -E "s/.*train:dataset=([^,]*),recipe=([^,]*),loss=([^,]*),sampler=([^,]*),seed=([0-9]*).*/\\1\\/\\2\\/\\3\\/\\4\\/seed\\5/" <<< "$word")
    results={checkout}/results/smoke
    made="history.csv model_last.safetensors model_val.safetensors model_test_max.safetensors run.json"
    words+=("--wrap=cd $results; mkdir -p runs/$id benchmarks/train/$id; touch benchmarks/train/$id.tsv; cd runs/$id; touch $made");;
  --gpus=*) ;;
  *) words+=("$word");;
esac; done
exec {real} "${{words[@]}}"
"""  # noqa: E501


def main(runs: int, jobs: int) -> None:
    """Submit ``runs`` trainings, at most ``jobs`` of them at once."""
    if why := missing():
        sys.exit(f"no Slurm: {why}")
    root = Path(tempfile.mkdtemp(prefix="dmlbench-jobs-"))
    root.chmod(0o755)  # munge insists
    cluster = PrivateSlurm(root / "s", accounting=False)
    (root / "s").mkdir()
    try:
        cluster.start()
        folder = checkout(_made(root / "checkout"))
        plan = config() | {"seeds": list(range(runs // 4))}
        (folder / "test.yaml").write_text(json.dumps(plan))
        data = folder / "data/prepared/digits_even_odd/original"
        data.mkdir(parents=True)
        for name in ("index.parquet", "pixels.bin"):
            (data / name).touch()
        _watch(_made(root / "bin"), cluster, folder)
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--jobs", str(jobs)]
        command += ["--resources", f"gpu={jobs}", "--until", "train", "--configfile", "test.yaml"]
        _report(command, folder, cluster.environment, root / "bin", runs)
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _watch(folder: Path, cluster: PrivateSlurm, checkout: Path) -> None:
    """Put commands that note their calls before Slurm's own."""
    for name in ("sbatch", "squeue"):
        text = SBATCH if name == "sbatch" else NOTED
        file = folder / name
        file.write_text(
            text.format(folder=folder, name=name, real=shutil.which(name), checkout=checkout)
        )
        file.chmod(0o755)
    cluster.environment["PATH"] = f"{folder}:{cluster.environment['PATH']}"
    cluster.environment["PYTHONPATH"] = str(checkout)


def _report(command: list[str], folder: Path, environment: dict, calls: Path, runs: int) -> None:
    started, most = time.monotonic(), 0
    with (folder / "snakemake.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
            most = max(most, *(int(kilobytes) // 1024 for kilobytes in peak), 0)
            time.sleep(1)
    seconds = time.monotonic() - started
    made = len(list(folder.rglob("run.json")))
    print(f"{made} of {runs} runs in {seconds:.0f} s, exit code {process.returncode}")
    if made != runs:
        print((folder / "snakemake.log").read_text()[-3000:], file=sys.stderr)
        sys.exit(1)
    print(f"Snakemake: {most} MB at most")
    for name in ("sbatch", "squeue"):
        at = [int(line) for line in (calls / f"{name}.calls").read_text().split()]
        busiest = max(at.count(second) for second in set(at))
        print(f"{name}: {len(at)} calls, {60 * len(at) / seconds:.1f} a minute, {busiest} a second")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=64, help="at once")
    options = parser.parse_args()
    main(options.runs, options.jobs)
