#!/usr/bin/env python
"""Time evaluation against pytorch-metric-learning, the full matrix with argsort, and bare faiss.

13,180 embeddings of 128 dimensions in 659 classes, the size of Omniglot's test. Each contestant is
a process of its own, they take turns, and each says how much memory it held at most.
    python benchmarks/evaluation.py                               # 3 minutes
    python benchmarks/evaluation.py --ratio                       # ours / bare faiss only
    python benchmarks/evaluation.py --scale 10000 100000          # cost as the number grows
    python benchmarks/evaluation.py --scale 1000000 --share 0.05  # a twentieth of the queries
    python benchmarks/evaluation.py --gallery 1000000 --queries 10000 --rounds 1
"""

import argparse
import json
import logging
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

CLASSES, EACH, DIM = 659, 20, 128
KS = [1, 2, 4, 8]
#: The library of this file, if it is not installed.
LIBRARY = Path(__file__).resolve().parent.parent / "workflow_scripts"


def data(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors, N x 128 float32, their labels and ids: twenty of each class, much noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), EACH)
    points = np.empty((len(labels), DIM), dtype=np.float32)
    for start in range(0, classes, 1000):
        some = slice(start * EACH, (start + 1000) * EACH)
        centres = rng.normal(size=(min(1000, classes - start), DIM)).astype(np.float32)
        block = 0.6 * np.repeat(centres, EACH, axis=0)
        block += rng.normal(size=block.shape).astype(np.float32)
        points[some] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return points, labels, np.arange(len(labels))


def ours(points, labels, ids, means, roles=None) -> Callable[[], dict]:
    from dmlbench.config.settings import Evaluation
    from dmlbench.evaluation.metric import Sample
    from dmlbench.evaluation.run_metrics import measure_images

    def run() -> dict:
        sample = Sample(points, labels, ids, Evaluation(recall_at=KS), roles=roles)
        rows = measure_images(sample, ["recall", *means])
        return {f"R@{r['k']}" if r["k"] else r["metric"]: r["value"] for r in rows}

    return run


def library(points, labels, ids, *more: str) -> Callable[[], dict]:
    """AccuracyCalculator, with Recall@K added as its documentation shows."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    class Calculator(AccuracyCalculator):
        def calculate_recalls(self, knn_labels, query_labels, **kwargs):
            hits = knn_labels == query_labels[:, None]
            return [hits[:, :k].any(dim=1).double().mean().item() for k in KS]

        def requires_knn(self):
            return [*super().requires_knn(), "recalls"]

    include = ("r_precision", "mean_average_precision_at_r", "recalls", *more)
    calculator = Calculator(include=include, k="max_bin_count", device=torch.device("cpu"))
    x, y = torch.from_numpy(points), torch.from_numpy(labels)

    def run() -> dict:
        found = calculator.get_accuracy(x, y)
        result = {f"R@{k}": v for k, v in zip(KS, found["recalls"], strict=True)}
        result |= {"r_precision": found["r_precision"]}
        result |= {"map_at_r": found["mean_average_precision_at_r"]}
        return result | ({"mrr": found["mean_reciprocal_rank"]} if more else {})

    return run


def argsort(points, labels, ids) -> Callable[[], dict]:
    """The usual way: all distances, sorted, self taken out of each row by its number."""

    def run() -> dict:
        products = points @ points.T
        np.fill_diagonal(products, -np.inf)
        order = np.argsort(-products, axis=1)[:, :-1]
        relevant = labels[order] == labels[:, None]
        result = {f"R@{k}": float(relevant[:, :k].any(axis=1).mean()) for k in KS}
        nearest = relevant[:, : EACH - 1]
        precision = np.cumsum(nearest, axis=1) / np.arange(1, EACH)
        result["r_precision"] = float(nearest.mean())
        result["map_at_r"] = float((precision * nearest).mean())
        return result | {"mrr": float((1 / (relevant.argmax(axis=1) + 1)).mean())}

    return run


def bare(points, labels, ids, roles=None) -> Callable[[], dict]:
    import faiss

    queries, gallery = (points[mask] for mask in roles) if roles else (points, points)
    index = faiss.IndexFlatL2(DIM)
    index.add(gallery)

    def run() -> dict:
        index.search(queries, EACH)
        return {}

    return run


def bare_told(points, labels, ids, roles=None) -> Callable[[], dict]:
    from dmlbench.neighbours.faiss_loading import load_faiss

    load_faiss()
    return bare(points, labels, ids, roles)


def apart(gallery: int, queries: int) -> tuple:
    """As :func:`data`, and the roles: random images are queries, the others are searched."""
    from dmlbench.config.dataset_facts import Roles

    count = gallery + queries
    points, labels, ids = (some[:count] for some in data(-(-count // EACH)))
    asked = np.zeros(count, dtype=bool)
    asked[np.random.default_rng(1).permutation(count)[:queries]] = True
    return points, labels, ids, Roles(asked, ~asked)


def clusters_ours(points, labels, ids) -> Callable[[], dict]:
    from dmlbench.evaluation.clustering import kmeans, mutual_information

    def run() -> dict:
        found = {}
        for name, factor in (("NMI", 1), ("NMI+", 10)):
            assigned = [kmeans(points, factor * CLASSES, 0)]
            found[name] = mutual_information(labels, assigned)["arithmetic"]
        return found

    return run


def clusters_library(points, labels, ids, kmeans=None) -> Callable[[], dict]:
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    x, y = torch.from_numpy(points), torch.from_numpy(labels)

    class Plus(AccuracyCalculator):
        def get_cluster_labels(self, query, query_labels, **kwargs):
            return self.kmeans_func(query, 10 * CLASSES)

    calculators = {"NMI": AccuracyCalculator, "NMI+": Plus}
    options = {"include": ("NMI",), "device": torch.device("cpu"), "kmeans_func": kmeans}
    made = {name: calculator(**options) for name, calculator in calculators.items()}
    return lambda: {name: c.get_accuracy(x, y)["NMI"] for name, c in made.items()}


def clusters_both(points, labels, ids) -> Callable[[], dict]:
    from dmlbench.evaluation.clustering import kmeans

    return clusters_library(points, labels, ids, lambda x, k: kmeans(x.numpy(), k, seed=0))


MEANS = ("r_precision", "map_at_r")
OURS, BARE = "ours: R@1,2,4,8, R-precision, MAP@R", "bare faiss search, told the processor"
RETRIEVAL = {
    OURS: lambda *d: ours(*d, MEANS),
    BARE: bare_told,
    "ours, with MRR over the full ranking": lambda *d: ours(*d, (*MEANS, "mrr")),
    "AccuracyCalculator: the same": library,
    "AccuracyCalculator, with MRR of 20": lambda *d: library(*d, "mean_reciprocal_rank"),
    "full matrix + argsort": argsort,
    "bare faiss search, k = 20": bare,
}
APART = {
    "ours: R@1,2,4,8, MAP@R of queries in a gallery": lambda *d: ours(*d[:3], MEANS[1:], d[3]),
    "bare faiss search of the gallery, told the processor": bare_told,
}
CLUSTERING = {
    "ours: NMI, NMI+ (one start)": clusters_ours,
    "AccuracyCalculator: NMI, NMI+": clusters_library,
    "AccuracyCalculator, our k-means": clusters_both,
}


def processor() -> str:
    """The processor's name where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def memory() -> float:
    """The most this process held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def worker(name: str, gallery: int, queries: int) -> None:
    """One contestant: a turn for each line of the input, an answer as JSON."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("dmlbench").setLevel(logging.INFO)  # how far a search is
    given = apart(gallery, queries) if name in APART else data(CLASSES)
    run = (RETRIEVAL | CLUSTERING | APART)[name](*given)
    before = memory()
    for _ in sys.stdin:
        start, cpu = time.perf_counter(), time.process_time()
        found = run()
        answer = {"s": time.perf_counter() - start, "found": found}
        answer["CPU s"] = time.process_time() - cpu
        answer |= {"MB": memory() - before, "peak": memory()}
        print(json.dumps(answer), flush=True)


def started(*arguments: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    command = [sys.executable, __file__, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=environment, **pipes)


def compare(contestants: dict, rounds: int, *more: str) -> dict[str, list[float]]:
    """Let them take turns; print times, memory and whether the numbers are the same.

    Returns:
        The seconds of every turn of each contestant.
    """
    import pandas as pd

    workers = {name: started("--worker", name, *more) for name in contestants}
    answers: dict[str, list] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, process in workers.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            if turn:  # the first warms up
                answers[name].append(answer)
    for process in workers.values():
        process.stdin.close()
        process.wait()
    first = next(iter(answers))
    rows = {}
    for name, given in answers.items():
        seconds = [answer["s"] for answer in given]
        by_turn = [a["s"] / b["s"] for a, b in zip(given, answers[first], strict=True)]
        rows[name] = {
            "median s": f"{statistics.median(seconds):.2f}",
            "least s": f"{min(seconds):.2f}",
            "most s": f"{max(seconds):.2f}",
            "CPU s": f"{statistics.median(a['CPU s'] for a in given):.2f}",
            "/ ours": f"{statistics.median(by_turn):.2f}",
            "MB beyond the data": f"{given[-1]['MB']:.0f}",
            "peak MB": f"{given[-1]['peak']:.0f}",
            **{key: f"{value:.6f}" for key, value in given[-1]["found"].items()},
        }
    print(pd.DataFrame(rows).T.fillna("").to_markdown(disable_numparse=True), "\n")
    return {name: [answer["s"] for answer in given] for name, given in answers.items()}


def scale(count: int, share: float) -> None:
    """Recall@K and MAP@R of ``count`` embeddings, or of the first ``share`` of them as queries."""
    from dmlbench.evaluation.metric import Queries
    from dmlbench.evaluation.metrics.map_at_r import MeanAveragePrecision
    from dmlbench.neighbours.knn import Gallery, hits, of_one_class
    from dmlbench.progress import counting

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    points, labels, ids = data(count // EACH)
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    gallery = Gallery(points, ids)
    labels = labels[gallery.order]
    others = np.bincount(labels)[labels] - 1
    ready = time.perf_counter() - start
    total, done = np.zeros(2), 0
    with counting("neighbours", int(share * count), "images") as tell:
        for rows, found in gallery.search(EACH - 1):
            relevant = of_one_class(labels, rows, found)
            queries = Queries(gallery, labels, rows, relevant, others[rows])
            precision = MeanAveragePrecision().of_queries(queries, 0)
            total += [hits(relevant, 1).sum(), precision.sum()]
            done += len(rows)
            tell(len(rows))
            if done >= share * count:
                break
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    whole = ready + (seconds - ready) * count / done
    print(
        f"| {count:,} | {done / count:.1%} | {seconds:,.1f} | {cpu:,.1f} | {whole:,.0f} | "
        f"{memory():,.0f} | {before:,.0f} | {100 * total[0] / done:.2f} | "
        f"{100 * total[-1] / done:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ratio", action="store_true", help="only ours and bare faiss")
    parser.add_argument("--scale", type=int, nargs="+", help="numbers of embeddings")
    parser.add_argument("--share", type=float, default=1.0, help="of the queries, for --scale")
    parser.add_argument("--gallery", type=int, default=0, help="images, searched by --queries")
    parser.add_argument("--queries", type=int, default=10_000, help="for --gallery")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.gallery, options.queries)
        return
    if options.one:
        scale(options.one, options.share)
        return
    if options.scale:
        print("| embeddings | queries | s | CPU s | s for all | peak MB | data MB | R@1 | MAP@R |")
        print("|" + ":--|" * 9, flush=True)
        share = str(options.share)
        for count in options.scale:
            print(
                started("--one", str(count), "--share", share).communicate()[0], end="", flush=True
            )
        return
    print(f"{processor()}, {os.cpu_count()} processors, {options.rounds} rounds\n")
    if options.gallery:
        sizes = ("--gallery", str(options.gallery), "--queries", str(options.queries))
        ours_s, bare_s = compare(APART, options.rounds, *sizes).values()
        ratio = statistics.median(ours_s) / statistics.median(bare_s)
        print(f"ours / bare faiss told its processor: {ratio:.2f} (medians)")
        return
    contestants = {OURS: RETRIEVAL[OURS], BARE: bare_told} if options.ratio else RETRIEVAL
    seconds = compare(contestants, options.rounds)
    ratio = statistics.median(seconds[OURS]) / statistics.median(seconds[BARE])
    print(f"retrieval metrics / bare faiss told its processor: {ratio:.2f} (medians)\n")
    if not options.ratio:
        compare(CLUSTERING, min(3, options.rounds))


if __name__ == "__main__":
    main()
