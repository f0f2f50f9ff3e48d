"""Where every artefact lies: the one place that spells a path.

Words in braces are Snakemake wildcards. A function made by :func:`_path` takes their values in
their order: ``paths.summary("demo", "metrics")``.
"""

from collections.abc import Callable
from pathlib import Path
from string import Formatter


def _path(pattern: str) -> Callable[..., str]:
    """A function that fills in a pattern, and refuses more or fewer values than it has braces."""
    fields = [field for _, field, _, _ in Formatter().parse(pattern) if field]
    return lambda *values: pattern.format(**dict(zip(fields, values, strict=True)))


# Archives, and prepared datasets

RAW = "data/raw/{source}/{archive}"
PREPARED = "data/prepared/{dataset}/{store}"
INDEX_FILE = "index.parquet"
PIXELS_FILE = "pixels.bin"
PAIRS_FILE = "pairs.parquet"
#: The images of the test that training has too.
DUPLICATES_FILE = "duplicates.parquet"
INDEX = f"{PREPARED}/{INDEX_FILE}"
PIXELS = f"{PREPARED}/{PIXELS_FILE}"
PAIRS = f"{PREPARED}/{PAIRS_FILE}"
DUPLICATES = f"{PREPARED}/{DUPLICATES_FILE}"
DATA_SUMMARY = f"{PREPARED}/summary.txt"
CONTACT_SHEET = f"{PREPARED}/images.png"

#: What was read of a user's own images, and what the file system said of them then.
OWN_CONTENT = "data/prepared/{dataset}/own_images.json"
#: The features of a dataset's images by a frozen backbone.
FEATURES = "data/features/{dataset}/{network}.safetensors"

# What a config makes, by its name

results = _path("results/{name}")
#: The config as it was read, with defaults, and the plan made of it: what jobs are given.
CONFIG_FILE, PLAN_FILE = "config.json", "plan.json"
resolved_config = _path(f"results/{{name}}/{CONFIG_FILE}")
#: Which Snakemake gave the config's jobs to a cluster last.
head = _path("results/{name}/cluster.json")
#: What made each file of results and data (:mod:`dmlbench.workflow.file_records`).
origins = _path("results/{name}/origins.json.gz")

#: Long-form tables over all runs: ``metrics``, ``history`` or ``runs``.
summary = _path("results/{name}/summary/{table}.parquet")
#: Recall@1 after each epoch of every method, in plain text for ``dvc plots``.
curves = _path("results/{name}/summary/curves.csv")
#: What became of every planned run.
ledger = _path("results/{name}/summary/ledger.csv")
#: What the result checker found.
check = _path("results/{name}/summary/check.json")
#: What became of each published number and claim.
verdicts = _path("results/{name}/summary/verdicts.csv")
#: The means of all tables (json), and of their first measures (csv), to be compared.
means = _path("results/{name}/means/means.{suffix}")

#: The table of an experiment, or one over all.
table = _path("results/{name}/tables/{experiment}.{suffix}")
#: The paired tests of an experiment's methods, in long form.
tests = _path("results/{name}/tables/{experiment}_tests.csv")
#: All tables and figures in one document: its source (tex), and itself (pdf).
document = _path("results/{name}/tables/results.{suffix}")
#: Tables over all experiments, which lie beside those of single ones.
OVERVIEWS = ("leaderboard", "cost")

overall_figure = _path("results/{name}/figures/{kind}.{suffix}")
#: The HTML report, its first page, and its page of an experiment.
report = _path("results/{name}/report/report.html")
summary_page = _path("results/{name}/report/summary.html")
experiment_page = _path("results/{name}/report/experiments/{experiment}.html")


def figure(name: str, experiment: str, kind: str, suffix: str) -> str:
    """A figure of an experiment."""
    return overall_figure(name, f"{kind}_{experiment}", suffix)


def is_taken(experiment: str) -> bool:
    """Whether an experiment of this name would have the files of something else."""
    return experiment in (*OVERVIEWS, "results") or experiment.endswith("_tests")


# Runs

RUN_ID = "{dataset}/{recipe}/{loss}/{sampler}/seed{seed}"
# These stay wildcards where the config's name is filled in.
_RUN = RUN_ID.replace("{", "{{").replace("}", "}}")
#: The folder of a run.
run = _path(f"results/{{name}}/runs/{_RUN}")
#: The folder of its checkpoint and lock, which Snakemake never deletes.
checkpoints = _path(f"results/{{name}}/checkpoints/{_RUN}")
#: Which runs share a job; beside the checkpoints, as it is of no use afterwards.
bundles = _path("results/{name}/checkpoints/bundles.json")
#: The folder of what TensorBoard and DVCLive keep of it.
loggers = _path(f"results/{{name}}/loggers/{_RUN}")


def run_in(folder: Path, run_id: str) -> Path:
    """One run's folder inside a folder of results, wherever that lies."""
    return folder / "runs" / run_id


def log_in(folder: Path, step: str, run_id: str) -> Path:
    """The log of one run's step (``train``, ``embed`` and so on) inside a folder of results."""
    return folder / "logs" / step / f"{run_id}.log"


# Inside the folder of a run's checkpoint: what a training goes on from, what its process holds, and
# where a finished run's files have second names until the job it shared has ended well
CHECKPOINT_FILE = "checkpoint.pt"
LOCK_FILE = "run.lock"
KEPT_FOLDER = "kept"

# Inside a run's folder

#: In the place of a split: the images that the pairs for verification name.
OF_PAIRS = "pairs"
#: A row for each epoch of a training.
HISTORY_FILE = "history.csv"
METRICS_FILE = "metrics.json"
#: How many pairs verification accepts at each threshold.
ROC_FILE = "roc.parquet"
#: The weights of a selection.
model = _path("model_{selection}.safetensors")
embeddings = _path("embeddings_{split}_{selection}.npz")
#: In the place of a selection: the features before the head, with the selection's weights.
body_of = _path("{selection}_body")
#: t-SNE coordinates of a split; the neighbours of the queries that a figure shows; histograms of
#: genuine and impostor similarities.
projection = _path("projection_{split}.parquet")
neighbours = _path("neighbours_{split}.parquet")
similarities = _path("similarities_{split}.parquet")


def local(pattern: str, **wildcards: object) -> Path:
    """``pattern`` with its wildcards filled in."""
    return Path(pattern.format(**wildcards))
