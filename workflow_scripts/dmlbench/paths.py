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


def resolved_config(name: str) -> str:
    """The config as it was read, defaults filled in: what the scripts of a run are given."""
    return f"{results(name)}/config.json"


def run(name: str) -> str:
    """The pattern of one run's folder."""
    return f"{results(name)}/runs/{RUN_ID}"


#: What a training goes on from, inside its folder of checkpoints.
CHECKPOINT_FILE = "checkpoint.pt"


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


def summary(name: str, table: str) -> str:
    """A collected long-form table: ``metrics``, ``history`` or ``runs``."""
    return f"{results(name)}/summary/{table}.parquet"


def table(name: str, experiment: str, suffix: str) -> str:
    """A table of results."""
    return f"{results(name)}/tables/{experiment}.{suffix}"


def figure(name: str, experiment: str, kind: str, suffix: str) -> str:
    """A figure of results."""
    return f"{results(name)}/figures/{kind}_{experiment}.{suffix}"


def theory(name: str, file: str) -> str:
    """A file of the theory simulation: ``collapse.parquet``, its table and its figure."""
    return f"{results(name)}/theory/{file}"


def report(name: str) -> str:
    """The one HTML file to open at the end."""
    return f"{results(name)}/report/report.html"


def summary_page(name: str) -> str:
    """The first page of the report: what ran where, and how it came out."""
    return f"{results(name)}/report/summary.html"


def local(pattern: str, **wildcards: object) -> Path:
    """``pattern`` with its wildcards filled in."""
    return Path(pattern.format(**wildcards))
