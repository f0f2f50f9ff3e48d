"""What ran, where, on which code."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from dmlbench.config.catalogue import PACKAGE, entries

SCRIPTS = PACKAGE.parent
PACKAGES = ("torch", "timm", "numpy", "faiss-gpu", "faiss-cpu", "scikit-learn", "dmlbench")


def _hash(*parts: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted({file for part in parts for file in part}):
        digest.update(str(file.relative_to(SCRIPTS)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _scripts(*names: str) -> list[Path]:
    return [SCRIPTS / f"{name}.py" for name in names]


def _shared() -> list[Path]:
    return [PACKAGE / f"{name}.py" for name in ("distances", "neighbours", "registry", "seeding")]


@cache
def data_code(dataset: str) -> str:
    """The hash of the sources that a prepared dataset depends on."""
    names = ("dataset", "prepare", "verify")
    own = [entries("dataset")[dataset].file]
    return _hash(own, _scripts("prepare"), [PACKAGE / "data" / f"{name}.py" for name in names])


@cache
def training_code(dataset: str, loss_type: str) -> str:
    """The hash of the sources that a trained model depends on: of the losses only its own."""
    loss = entries("loss")[loss_type].file
    rooms = [(PACKAGE / room).glob("*.py") for room in ("training", "models", "samplers", "data")]
    own = [entries("dataset")[dataset].file, loss, loss.with_name("base.py")]
    own += [PACKAGE / "config" / "splits.py", *_scripts("train")]
    return _hash(_shared(), own, *rooms)


@cache
def embedding_code() -> str:
    """The hash of the sources that embeddings depend on besides those of the training."""
    return _hash(_scripts("embed"), [PACKAGE / "evaluation" / "embeddings.py"])


@cache
def evaluation_code() -> str:
    """The hash of the sources that metrics depend on."""
    return _hash(_shared(), _scripts("evaluate", "project"), (PACKAGE / "evaluation").glob("*.py"))


@cache
def theory_code() -> str:
    """The hash of the sources that the theory simulation depends on."""
    shared = [PACKAGE / "seeding.py"]
    return _hash(shared, _scripts("simulate"), (PACKAGE / "theory").glob("*.py"))


@cache
def reporting_code() -> str:
    """The hash of the sources that tables, figures and report depend on."""
    files = [f for f in (PACKAGE / "reporting").rglob("*") if f.suffix in (".py", ".yaml", ".j2")]
    return _hash(files, _scripts("collect", "tables", "figures", "report", "theory"))


def git_state() -> dict:
    """Commit and whether code or config differs from it; says so where there is no git.

    Results do not count: a run replaces those kept in git.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "-uno", "--", ":(top)", ":(top,exclude)results")
        return {"commit": commit, "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError) as error:
        return {"commit": None, "dirty": None, "reason": type(error).__name__}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def environment() -> dict:
    """Host, processor, package versions, git state and scheduler job of this process."""
    import importlib.metadata

    installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    return {
        "host": platform.node(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES if name in installed},
        "git": git_state(),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
    }
