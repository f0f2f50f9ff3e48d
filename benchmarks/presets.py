#!/usr/bin/env python
"""Time the training step of each preset, and of one preset with each switch that changes speed.

    python benchmarks/presets.py                  # on a GPU: 4 minutes
    python benchmarks/presets.py --only pd_r18_256 --steps 1     # on a CPU

Weights are random and images are in memory, so that the step alone is timed: reading must keep up
(``training.py`` says whether it does). Hours are those of the preset's images at that speed, on
CUB-200-2011 and Cars196, without measuring.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from training import made_batch, photographs, stepping, trainer_of

from dmlbench.config.presets import presets
from dmlbench.data.prepare import prepare
from dmlbench.data.store import ImageStore
from dmlbench.training.loop import Trainer

IMAGES, CLASSES, PER_CLASS = 640, 128, 4
#: Changes to each preset, and to the first one only.
PRECISIONS = [{"precision": "float32"}, {"precision": "tf32"}, {"precision": "bfloat16"}]
SWITCHES = [
    {"precision": "bfloat16", "compile": True},
    {"precision": "bfloat16", "chunk": 28},
    {"precision": "bfloat16", "ema": 0.999},
]


def row(name: str, trainer: Trainer, steps: int, rounds: int) -> dict[str, str]:
    """Images a second, memory and hours of one recipe."""
    made, speeds = made_batch(trainer), []
    run = stepping(trainer, lambda: (made for _ in range(steps)))
    on_gpu = trainer.device.type == "cuda"
    for number in range(rounds + 1):
        started = time.perf_counter()
        images = run()
        if on_gpu:
            torch.cuda.synchronize()
        if number or not rounds:  # the first one warms up
            speeds.append(images / (time.perf_counter() - started))
    millions = [float(value) for value in presets()[name]["images"].split(" / ")]
    hours = [million * 1e6 / median(speeds) / 3600 for million in millions]
    return {
        "images/s": f"{median(speeds):,.0f}",
        "least": f"{min(speeds):,.0f}",
        "most": f"{max(speeds):,.0f}",
        "memory": f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if on_gpu else "",
        "hours": " / ".join(f"{value:.2f}" for value in hours),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    timed = [name for name, preset in presets().items() if "/" in preset["images"]]
    parser.add_argument("--only", nargs="+", choices=timed, default=timed, help="presets")
    parser.add_argument("--steps", type=int, default=10, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(torch.cuda.get_device_name() if device == "cuda" else f"{args.threads} CPU threads")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _, dataset = photographs(Path(folder), IMAGES, CLASSES)
        prepare(dataset, {}, Path(folder) / "store", "original", args.threads)
        store = ImageStore(Path(folder) / "store")
        for name in args.only:
            changes = PRECISIONS + (SWITCHES if name == args.only[0] else [])
            for change in changes if device == "cuda" else [{}]:
                recipe = presets()[name]["recipe"] | change | {"device": device}
                if device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                trainer = trainer_of(dataset, store, recipe, PER_CLASS, args.threads)
                told = {"preset": name} | {
                    "switches": ", ".join(f"{k} {v}" for k, v in change.items())
                }
                rows.append(told | row(name, trainer, args.steps, args.rounds))
                print(rows[-1], flush=True)
                del trainer
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
