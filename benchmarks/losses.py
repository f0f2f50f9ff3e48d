#!/usr/bin/env python
"""Time selection + loss + backward against pytorch-metric-learning and against plain loops.

Same inputs, same process, contestants taking turns; medians in milliseconds, and ratios to ours.
    python benchmarks/losses.py             # all of it, on the GPU too where there is one
    python benchmarks/losses.py --memory    # peak memory at a batch of 2,048, a process per case
"""

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from loops import (
    margin,
    multi_similarity,
    select_distance_weighted,
    select_easy_semihard,
    select_multi_similarity,
    triplet,
)
from pytorch_metric_learning import distances, losses, miners

from dmlbench.losses.building import build_loss
from dmlbench.samplers.batch import Batch
from dmlbench.samplers.sampler import build_sampler

#: Inputs are unit vectors already: neither side normalises them again, where the library lets us.
PLAIN = distances.LpDistance(normalize_embeddings=False)
#: Batch, dimension, images of a class.
SIZES = [(b, d, c) for b in (112, 512) for d in (128, 512) for c in (2, 8)]
#: Ranking losses are for large batches of few images of a class.
RANKED = [(112, 512, 4), (400, 512, 4)]


@dataclass(frozen=True)
class Case:
    """One method: ours by its config, theirs by its objects.

    Attributes:
        loss: Our loss.
        choices: Our positive and negative choice; None for a loss on whole batches.
        miner: Their miner; None forms all pairs.
        library: Their loss; None where they have none.
        loop: The plain loops of selection and loss; None where there is nothing to select.
        sizes: What is timed.
        most_per_class: Images of a class up to which memory is measured.
    """

    loss: dict
    choices: tuple[str, str] | None = None
    miner: Callable | None = None
    library: Callable | None = None
    loop: tuple[Callable, Callable] | None = None
    sizes: Sequence[tuple[int, int, int]] = tuple(SIZES)
    most_per_class: int = 64


CASES = {
    "margin, distance-weighted": Case(
        {"type": "margin"},
        ("all", "distance"),
        miners.DistanceWeightedMiner(),
        lambda c, d: losses.MarginLoss(
            nu=0, beta=1.2, learn_beta=True, num_classes=c, distance=PLAIN
        ),
        (select_distance_weighted, margin),
    ),
    "Multi-Similarity, mined": Case(
        {"type": "multi_similarity", "threshold": 0.5},
        ("multi_similarity", "multi_similarity"),
        miners.MultiSimilarityMiner(),
        lambda c, d: losses.MultiSimilarityLoss(),
        (select_multi_similarity, multi_similarity),
    ),
    "triplet, easy + semi-hard": Case(
        {"type": "triplet", "squared": False},
        ("easy", "semihard"),
        miners.BatchEasyHardMiner("easy", "semihard", distance=PLAIN),
        lambda c, d: losses.TripletMarginLoss(margin=0.2, distance=PLAIN),
        (select_easy_semihard, triplet),
    ),
    "triplet, hard + hard": Case(
        {"type": "triplet", "squared": False},
        ("hard", "hard"),
        miners.BatchHardMiner(distance=PLAIN),
        lambda c, d: losses.TripletMarginLoss(margin=0.2, distance=PLAIN),
    ),
    "triplet, all": Case(
        {"type": "triplet", "squared": False},
        ("all", "all"),
        None,
        lambda c, d: losses.TripletMarginLoss(margin=0.2, distance=PLAIN),
    ),
    "contrastive, all pairs": Case(
        {"type": "contrastive", "squared": False},
        ("all", "all"),
        None,
        lambda c, d: losses.ContrastiveLoss(distance=PLAIN),
    ),
    "NT-Xent, all pairs": Case(
        {"type": "nt_xent"},
        ("all", "all"),
        None,
        lambda c, d: losses.NTXentLoss(temperature=0.1),
        sizes=[
            size for size in SIZES if size[0] == 112
        ],  # theirs has a row for each positive pair: 4 GB and more at 512
    ),
    "NT-Xent, EPSHN": Case(
        {"type": "nt_xent"},
        ("easy", "hardest_semihard"),
        miners.BatchEasyHardMiner("easy", "semihard"),
        lambda c, d: losses.NTXentLoss(temperature=0.1),
    ),
    "ProxyNCA": Case(
        {"type": "proxy_nca", "positive_in_denominator": True},
        None,
        None,
        lambda c, d: losses.ProxyNCALoss(c, d, softmax_scale=9),
    ),
    # The queues are full after a few rounds.
    "XBM, contrastive": Case(
        {
            "type": "xbm",
            "loss": {"type": "contrastive", "squared": False},
            "size": 2048,
            "start": 0,
        },
        None,
        None,
        lambda c, d: losses.CrossBatchMemory(losses.ContrastiveLoss(distance=PLAIN), d, 2048),
    ),
    "XBM, Multi-Similarity, mined": Case(
        {"type": "xbm", "loss": {"type": "multi_similarity", "threshold": 0.5}}
        | {"size": 2048, "start": 0, "pairs": "multi_similarity"},
        None,
        None,
        lambda c, d: losses.CrossBatchMemory(
            losses.MultiSimilarityLoss(), d, 2048, miners.MultiSimilarityMiner()
        ),
    ),
    "threshold-consistent margin": Case(
        {"type": "threshold_consistent"},
        None,
        None,
        lambda c, d: losses.ThresholdConsistentMarginLoss(),
    ),
    # Theirs is given classes in any order here, for which its value is wrong; its time is the same.
    "Smooth-AP": Case(
        {"type": "smooth_ap"}, library=lambda c, d: losses.SmoothAPLoss(), sizes=RANKED
    ),
    "ROADMAP": Case({"type": "roadmap"}, sizes=RANKED),
    "RS@k": Case({"type": "recall_at_k"}, sizes=RANKED),
    "RS@k, SiMix": Case({"type": "recall_at_k", "simix": True}, sizes=RANKED, most_per_class=4),
}


def inputs(batch: int, dim: int, per_class: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors as early in a training: more noise than class, so that mining has work."""
    generator = torch.Generator().manual_seed(0)
    classes = batch // per_class
    centres = torch.randn(classes, dim, generator=generator)
    labels = torch.arange(classes).repeat_interleave(per_class)
    labels = labels[torch.randperm(batch, generator=generator)]  # as batches come
    points = 0.4 * centres[labels] + torch.randn(len(labels), dim, generator=generator)
    return torch.nn.functional.normalize(points, dim=1).to(device), labels.to(device)


def contestants(case: Case, points: torch.Tensor, labels: torch.Tensor) -> dict[str, Callable]:
    """A function for each contestant that selects, computes the loss and goes backward."""
    classes, dim, device = int(labels.max()) + 1, points.shape[1], points.device
    torch.manual_seed(0)
    ours = build_loss(case.loss, classes, dim).to(device)
    spec = dict.fromkeys(("positive", "negative", "miner"))
    if case.choices:
        spec |= {k: {"type": v} for k, v in zip(spec, case.choices, strict=False)}
    sampler = build_sampler(spec)
    library = case.library(classes, dim).to(device) if case.library else None
    generator = torch.Generator(device).manual_seed(0)
    content = torch.arange(len(labels), device=device)
    rng = np.random.default_rng(0)

    def select_ours(batch: Batch) -> Any:
        return sampler(batch) if sampler else None

    def select_library(x: torch.Tensor) -> Any:
        return case.miner(x, labels) if case.miner else None

    def run_ours() -> None:
        x = points.clone().requires_grad_()
        batch = Batch.of(x, labels, content, generator)
        ours(batch, select_ours(batch)).value.backward()

    def run_library() -> None:
        x = points.clone().requires_grad_()
        library(x, labels, select_library(x)).backward()

    found = {"ours": run_ours} | ({"library": run_library} if library else {})
    if case.miner:
        found |= {
            "ours, selection": lambda: select_ours(Batch.of(points, labels, content, generator)),
            "library, selection": lambda: select_library(points),
        }
    if case.loop:
        select, loss = case.loop

        def run_loop() -> None:
            x = points.clone().requires_grad_()
            loss(x, labels, select(x.detach(), labels, rng)).backward()

        found |= {"loop": run_loop, "loop, selection": lambda: select(points, labels, rng)}
    return found


def milliseconds(step: Callable, device: torch.device) -> float:
    """How long a call takes, the GPU's work included.

    It is the second call in a row: the first one pays for the memory that others gave back.
    """
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - started)


def compare(name: str, batch: int, dim: int, per_class: int, device: str, rounds: int) -> dict:
    """One row of the table: medians, and how many times as long as ours the others take."""
    points, labels = inputs(batch, dim, per_class, device)
    steps = contestants(CASES[name], points, labels)
    times: dict[str, list[float]] = {who: [] for who in steps}
    for number in range(rounds + 2):
        for who, step in steps.items():
            if who.startswith("loop") and number > 2 + rounds // 6:
                continue  # seconds each; a few are enough
            spent = milliseconds(step, points.device)
            if number >= 2:  # the first two warm up
                times[who].append(spent)
    median = {who: statistics.median(values) for who, values in times.items()}
    row = {"method": name, "batch": batch, "dim": dim, "per class": per_class}
    row |= {f"{who} ms": f"{median[who]:.2f}" for who in ("ours", "library") if who in median}
    for part in ("", ", selection"):
        for who in ("library", "loop"):
            if who + part in median:
                ratio = median[who + part] / median["ours" + part]
                row[f"{who} / ours{part}"] = f"{ratio:.1f}"
    print(row, file=sys.stderr)  # it takes minutes
    return row


def table(device: str, rounds: int) -> str:
    """All cases in Markdown."""
    rows = [
        compare(name, batch, dim, per_class, device, rounds)
        for name, case in CASES.items()
        for batch, dim, per_class in case.sizes
    ]
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True)


def memory(name: str, per_class: int) -> float:
    """Peak memory in MB that one step of ours adds to this process, batch 2,048, dimension 128."""
    points, labels = inputs(2048, 128, per_class, "cpu")
    small = contestants(CASES[name], *inputs(64, 128, 8, "cpu"))["ours"]
    small()  # what is loaded on first use is not the step's
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    contestants(CASES[name], points, labels)["ours"]()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def memory_table() -> str:
    """Peak memory of every case, each in a process of its own, in Markdown."""
    rows = []
    for name, case in CASES.items():
        row = {"method": name}
        for per_class in [n for n in (2, 4, 8, 64) if n <= case.most_per_class]:
            command = [sys.executable, __file__, "--memory-of", name, str(per_class)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row[f"{per_class} per class"] = f"{float(done.stdout):.0f} MB"
        rows.append(row)
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--rounds", type=int, default=30, help="timed rounds of each contestant")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of times")
    parser.add_argument("--memory-of", nargs=2, metavar=("METHOD", "PER_CLASS"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        print(memory(args.memory_of[0], int(args.memory_of[1])))
    elif args.memory:
        print(memory_table())
    else:
        print(f"torch {torch.__version__}, {platform.machine()}, {args.threads} threads\n")
        print(table("cpu", args.rounds))
        if torch.cuda.is_available():
            print(f"\n{torch.cuda.get_device_name()}\n\n{table('cuda', args.rounds)}")


if __name__ == "__main__":
    main()
