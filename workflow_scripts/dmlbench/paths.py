"""Where every artefact lies: the one place that spells a path.

Patterns in braces are Snakemake wildcards; the functions fill them in for scripts and tests.
"""

from pathlib import Path

RAW = "data/raw/{source}/{archive}"
PREPARED = "data/prepared/{dataset}/{store}"
INDEX_FILE = "index.parquet"
PIXELS_FILE = "pixels.bin"
INDEX = f"{PREPARED}/{INDEX_FILE}"
PIXELS = f"{PREPARED}/{PIXELS_FILE}"
PAIRS_FILE = "pairs.parquet"
PAIRS = f"{PREPARED}/{PAIRS_FILE}"
DATA_SUMMARY = f"{PREPARED}/summary.txt"
CONTACT_SHEET = f"{PREPARED}/images.png"

#: In the place of a split: the images that the pairs for verification name.
OF_PAIRS = "pairs"

RUN_ID = "{dataset}/{recipe}/{loss}/{sampler}/seed{seed}"


def results(name: str) -> str:
    """The folder of everything a config makes."""
    return f"results/{name}"


#: The config as it was read, defaults filled in, inside the folder of its results.
CONFIG_FILE = "config.json"
#: The plan that was made of it, beside it.
PLAN_FILE = "plan.json"


def resolved_config(name: str) -> str:
    """The config as it was read, defaults filled in: what the scripts of a run are given."""
    return f"{results(name)}/{CONFIG_FILE}"


def head(name: str) -> str:
    """Which Snakemake gave a config's jobs to a cluster last."""
    return f"{results(name)}/cluster.json"


def run(name: str) -> str:
    """The pattern of one run's folder."""
    return f"{results(name)}/runs/{RUN_ID}"


def run_in(folder: Path, run_id: str) -> Path:
    """One run's folder inside a folder of results, wherever that lies."""
    return folder / "runs" / run_id


def log_in(folder: Path, step: str, run_id: str) -> Path:
    """The log of one run's step (``train``, ``embed`` and so on) inside a folder of results."""
    return folder / "logs" / step / f"{run_id}.log"


#: What was measured of one run, inside its folder.
METRICS_FILE = "metrics.json"

#: What a training goes on from, inside its folder of checkpoints.
CHECKPOINT_FILE = "checkpoint.pt"
#: Held by the process that trains the run, in the same folder.
LOCK_FILE = "run.lock"


def checkpoints(name: str) -> str:
    """The pattern of the folder of one run's checkpoint and lock.

    Not below the run's own: Snakemake deletes what a failed job was to make.
    """
    return f"{results(name)}/checkpoints/{RUN_ID}"


def loggers(name: str) -> str:
    """The pattern of the folder of what TensorBoard and DVCLive keep of one run."""
    return f"{results(name)}/loggers/{RUN_ID}"


def model(selection: str) -> str:
    """The weights of one selection, inside a run's folder."""
    return f"model_{selection}.safetensors"


def embeddings(split: str, selection: str) -> str:
    """The embeddings of one split (or ``OF_PAIRS``) and selection, inside a run's folder."""
    return f"embeddings_{split}_{selection}.npz"


def projection(split: str) -> str:
    """The t-SNE coordinates of one split, inside a run's folder."""
    return f"projection_{split}.parquet"


def neighbours(split: str) -> str:
    """The neighbours of the queries that a figure shows, inside a run's folder."""
    return f"neighbours_{split}.parquet"


def similarities(split: str) -> str:
    """Histograms of genuine and impostor similarities, inside a run's folder."""
    return f"similarities_{split}.parquet"


#: How many pairs verification accepts at each threshold, inside a run's folder.
ROC_FILE = "roc.parquet"


def summary(name: str, table: str) -> str:
    """A collected long-form table: ``metrics``, ``history`` or ``runs``."""
    return f"{results(name)}/summary/{table}.parquet"


def curves(name: str) -> str:
    """Recall@1 after each epoch of every method, in plain text for ``dvc plots``."""
    return f"{results(name)}/summary/curves.csv"


def ledger(name: str) -> str:
    """What became of every planned run."""
    return f"{results(name)}/summary/ledger.csv"


def check(name: str) -> str:
    """What the result checker found."""
    return f"{results(name)}/summary/check.json"


def table(name: str, experiment: str, suffix: str) -> str:
    """The table of an experiment, or one over all."""
    return f"{results(name)}/tables/{experiment}.{suffix}"


#: Tables over all experiments, which lie beside those of single ones.
OVERVIEWS = ("leaderboard", "cost")
_DOCUMENT, _TESTS = "results", "_tests"


def is_taken(experiment: str) -> bool:
    """Whether files of an experiment of this name would be those of something else."""
    return experiment in (*OVERVIEWS, _DOCUMENT) or experiment.endswith(_TESTS)


def document(name: str, suffix: str) -> str:
    """All tables and figures in one document: its source (tex), and itself (pdf)."""
    return table(name, _DOCUMENT, suffix)


def tests(name: str, experiment: str) -> str:
    """The paired tests of an experiment's methods, in long form."""
    return table(name, f"{experiment}{_TESTS}", "csv")


def figure(name: str, experiment: str, kind: str, suffix: str) -> str:
    """A figure of results."""
    return f"{results(name)}/figures/{kind}_{experiment}.{suffix}"


def overall_figure(name: str, kind: str, suffix: str) -> str:
    """A figure over all experiments."""
    return f"{results(name)}/figures/{kind}.{suffix}"


def means(name: str, suffix: str) -> str:
    """The means of all tables (json), and of their first measures (csv), to be compared."""
    return f"{results(name)}/means/means.{suffix}"


def origins(name: str) -> str:
    """What made each file of results and data (:mod:`dmlbench.workflow.file_records`)."""
    return f"{results(name)}/origins.json.gz"


def report(name: str) -> str:
    """The one HTML file to open at the end."""
    return f"{results(name)}/report/report.html"


def summary_page(name: str) -> str:
    """The first page of the report: what ran where, and how it came out."""
    return f"{results(name)}/report/summary.html"


def experiment_page(name: str, experiment: str) -> str:
    """The report's page of an experiment: its tables, and from each cell the runs behind it."""
    return f"{results(name)}/report/experiments/{experiment}.html"


def verdicts(name: str) -> str:
    """What became of each published number and claim."""
    return f"{results(name)}/summary/verdicts.csv"


def local(pattern: str, **wildcards: object) -> Path:
    """``pattern`` with its wildcards filled in."""
    return Path(pattern.format(**wildcards))
