"""What ran, where, on which code."""

import hashlib
import inspect
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path

from dmlbench.plugins.class_sources import class_source, module_file
from dmlbench.plugins.entries import entries
from dmlbench.plugins.registry import REGISTRIES

PACKAGE = Path(__file__).resolve().parent.parent
SCRIPTS = PACKAGE.parent
PACKAGES = (
    "torch", "timm", "numpy", "faiss-gpu", "faiss-cpu", "scikit-learn", "pytorch-metric-learning",
    "dmlbench",
)  # fmt: skip


def _files(*parts: Iterable[Path]) -> dict[str, str]:
    """The hash of every file by its name, in the order of names.

    A user's own module or a library lies elsewhere, no matter where; files of one name are hashed
    together.
    """
    contents: dict[str, list[bytes]] = {}
    for file in {file for part in parts for file in part}:
        name = str(file.relative_to(SCRIPTS)) if file.is_relative_to(SCRIPTS) else file.name
        contents.setdefault(name, []).append(file.read_bytes())
    return {
        name: hashlib.sha256(b"".join(sorted(held))).hexdigest()[:16]
        for name, held in sorted(contents.items())
    }


def _hash(*parts: Iterable[Path]) -> str:
    return hashlib.sha256(json.dumps(_files(*parts)).encode()).hexdigest()[:16]


def _scripts(*names: str) -> list[Path]:
    return [SCRIPTS / f"{name}.py" for name in names]


def _shared() -> list[Path]:
    names = ("exact", "knn", "search", "search_gpu", "seeding")
    plugins = [PACKAGE / "plugins" / f"{name}.py" for name in ("arguments", "objects", "registry")]
    tensors = (PACKAGE / "tensors").glob("*.py")
    return [*(PACKAGE / f"{name}.py" for name in names), *plugins, *tensors]


def _dataset_file(dataset: str) -> Path:
    registered = entries("dataset").get(dataset)
    return Path(inspect.getfile(registered.cls)) if registered else PACKAGE / "data" / "folder.py"


def _shared_files(room: str, *kinds: str) -> list[Path]:
    """The files of a room that register nothing: what its classes have in common."""
    classes = [cls for kind in kinds for cls in REGISTRIES[kind].classes().values()]
    own = {Path(inspect.getfile(cls)) for cls in classes}
    return [file for file in (PACKAGE / room).glob("*.py") if file not in own]


@cache
def data_code(dataset: str) -> str:
    """The hash of the sources that a prepared dataset depends on."""
    # A file that is added counts until it is named here.
    decide_nothing = (
        "disk", "folder", "reader", "sources", "splits", "store", "summary", "transforms",
        "verification_pairs",
    )  # fmt: skip
    files = [f for f in (PACKAGE / "data").glob("*.py") if f.stem not in decide_nothing]
    return _hash([_dataset_file(dataset)], _scripts("prepare"), files)


@cache
def training_files(dataset: str, classes: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The hashes of the sources that a trained model depends on: of the losses only its own.

    Args:
        dataset: The dataset's name.
        classes: Kind and name of every class that the run's config names
            (:meth:`dmlbench.config.Plan.classes`).
    """
    # A file that is added counts until it is named here.
    decide_nothing = (
        "artefacts",
        "checkpoint",
        "run_lock",
        "session",
        "stopping",
        "writers",
    )
    trainer = [f for f in (PACKAGE / "training").glob("*.py") if f.stem not in decide_nothing]
    rooms = [trainer, (PACKAGE / "models").glob("*.py")]
    rooms += [_shared_files("losses", "loss"), _shared_files("samplers", "positive", "negative")]
    data = (
        "dataset", "decode", "folder", "lookahead", "reader", "splits", "store", "transforms",
    )  # fmt: skip
    seen = [PACKAGE / "data" / f"{name}.py" for name in data]
    modules = [m for kind, name in classes for m in class_source(kind, name).modules]
    own = [file for file in map(module_file, modules) if file]
    own += [_dataset_file(dataset), *_scripts("train")]
    return _files(_shared(), own, seen, *rooms)


@cache
def training_code(dataset: str, classes: tuple[tuple[str, str], ...]) -> str:
    """One hash of :func:`training_files`."""
    files = json.dumps(training_files(dataset, classes))
    return hashlib.sha256(files.encode()).hexdigest()[:16]


@cache
def embedding_code() -> str:
    """The hash of the sources that embeddings depend on besides those of the training."""
    return _hash(_scripts("embed"), [PACKAGE / "evaluation" / "embeddings.py"])


@cache
def control_code() -> str:
    """The hash of the sources that controls without a training depend on."""
    data = ("decode", "reader", "splits", "store", "transforms")
    rooms = (PACKAGE / "models").glob("*.py"), [PACKAGE / "training" / "determinism.py"]
    return _hash(_scripts("control"), *rooms, [PACKAGE / "data" / f"{name}.py" for name in data])


@cache
def evaluation_code() -> str:
    """The hash of the sources that metrics depend on."""
    data = [PACKAGE / "data" / f"{name}.py" for name in ("verification_pairs", "splits")]
    drawing = ("pictures", "projection")
    room = [f for f in (PACKAGE / "evaluation").glob("*.py") if f.stem not in drawing]
    return _hash(_shared(), _scripts("evaluate"), room, data)


@cache
def picture_code() -> str:
    """The hash of the sources that t-SNE and what else figures show of embeddings depend on."""
    room = (PACKAGE / "evaluation").glob("*.py")
    return _hash(_shared(), _scripts("project", "illustrate", "roc"), room)


@cache
def theory_code() -> str:
    """The hash of the sources that the theory simulation depends on."""
    shared = [PACKAGE / "seeding.py"]
    return _hash(shared, _scripts("simulate"), (PACKAGE / "theory").glob("*.py"))


@cache
def checking_code() -> str:
    """The hash of the sources that the checker depends on."""
    names = ("version", "workflow/job_states", "workflow/run_record")
    shared = [PACKAGE / f"{name}.py" for name in names]
    return _hash(shared, _scripts("check"), (PACKAGE / "checking").glob("*.py"))


@cache
def reporting_code() -> str:
    """The hash of the sources that tables, figures and report depend on."""
    files = [f for f in (PACKAGE / "reporting").rglob("*") if f.suffix in (".py", ".yaml", ".j2")]
    files += [*(PACKAGE / "checking").glob("*.py"), PACKAGE / "version.py"]
    scripts = ("collect", "document", "tables", "figures", "report", "theory", "means")
    return _hash(files, _scripts(*scripts))


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


def hardware(device) -> dict:
    """What the last digits depend on besides the code: processor, GPU, and the version of PyTorch.

    Args:
        device: The ``torch.device`` of the training.
    """
    gpu = None
    if device.type == "cuda":
        import torch

        gpu = torch.cuda.get_device_name(device)
    return {"machine": platform.machine(), "gpu": gpu, "torch": version("torch")}


def environment() -> dict:
    """Host, processor, package versions, git state and scheduler job of this process."""
    installed = {d.metadata["Name"].lower() for d in distributions()}
    return {
        "host": platform.node(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES if name in installed},
        "git": git_state(),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
    }
