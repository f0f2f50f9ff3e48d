"""Which code made something: a hash for each step; and what ran where.

A step's hash is a parameter of its rule, so a change of its code has Snakemake do it again. It
covers the script and all that this imports from the library, but for what decides nothing.
"""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import distributions, version

from dmlbench.plugins.class_paths import ClassSource, module_file
from dmlbench.plugins.entries import entries
from dmlbench.workflow.import_closure import (
    PACKAGE,
    SCRIPTS,
    closure,
    content_hash,
    digest,
    hashes,
    script_imports,
)

#: Modules and packages that decide nothing about results, and why. One that is added counts until
#: it is named here.
DECIDES_NOTHING = {
    "dmlbench.cli": "command lines and logs",
    "dmlbench.config": "what it reads from a config is a parameter of each rule",
    "dmlbench.data.disk": "says how much room is needed",
    "dmlbench.data.download": "archives are what their checksums say",
    "dmlbench.data.http_source": "archives are what their checksums say",
    "dmlbench.errors": "names of mistakes",
    "dmlbench.files": "writes files whole",
    "dmlbench.paths": "places, which are parameters of each rule",
    "dmlbench.plugins.class_paths": "imports classes and finds their code, which is hashed here",
    "dmlbench.plugins.library_classes": "refuses classes that are known to be wrong",
    "dmlbench.plugins.messages": "words of mistakes",
    "dmlbench.progress": "words on a terminal",
    "dmlbench.training.artefacts": "names and writes files",
    "dmlbench.training.checkpoint": "a training goes on from one to the same bytes",
    "dmlbench.training.run_lock": "who may train",
    "dmlbench.training.session": "when a training begins and ends",
    "dmlbench.training.stopping": "when a training leaves",
    "dmlbench.workflow": "records of what was done",
}
#: Inside one of those packages, and decides something: which rows are measured.
_DECIDES = ("dmlbench.config.dataset_facts",)
#: What decides something for one step only, by its script: how records are read; the network whose
#: weights are loaded.
_ALSO = {
    "check": ("dmlbench.workflow.job_states", "dmlbench.workflow.run_record"),
    "embed": ("dmlbench.models.embedder",),
}
PACKAGES = (
    "torch", "timm", "numpy", "faiss-gpu", "faiss-cpu", "scikit-learn", "pytorch-metric-learning",
    "dmlbench",
)  # fmt: skip


def step_files(script: str, step: str | None = None, *more: str, stop: str = "") -> dict[str, str]:
    """The hashes of the source files that a step depends on: of the script, and by module.

    Args:
        script: The step's script, without ``.py``.
        step: Which of its steps, where it has several.
        more: Further modules to start from, which count whatever they are.
        stop: A module that this step does not use, though its script imports it.
    """
    more = (*more, *_ALSO.get(script, ()))
    roots = {*script_imports(script, step), *more}
    modules = closure(roots, {*DECIDES_NOTHING, stop}, {*_DECIDES, *more})
    return {f"{script}.py": content_hash(SCRIPTS / f"{script}.py")} | hashes(modules)


@cache
def step_code(script: str, step: str | None = None) -> str:
    """One hash of what :func:`step_files` has, for steps that depend on no run's own classes.

    Reports also depend on the texts that they fill in.
    """
    files = step_files(script, step)
    if script == "report":
        folder = PACKAGE / "reporting"
        texts = [file for file in folder.rglob("*") if file.suffix in (".yaml", ".j2")]
        files |= {str(file.relative_to(folder)): content_hash(file) for file in texts}
    return digest(files)


@cache
def data_code(dataset: str) -> str:
    """The hash of the sources that a prepared dataset depends on."""
    module = _dataset_module(dataset)
    folder = "dmlbench.data.folder"
    return digest(step_files("prepare", None, module, stop=folder if module != folder else ""))


@cache
def training_files(dataset: str, classes: tuple[ClassSource, ...]) -> dict[str, str]:
    """The hashes of the sources that a trained model depends on: of the losses only its own.

    ``classes`` are those that the run's config names (:meth:`dmlbench.config.Plan.sources`).
    """
    named = [module for source in classes for module in source.modules]
    files = step_files("train", None, "dmlbench.training.loop", _dataset_module(dataset), *named)
    own = {name: module_file(name) for name in named if name not in files}
    files |= {name: content_hash(file) for name, file in own.items() if file}
    return files | {source.package: source.package for source in classes if source.package}


@cache
def training_code(dataset: str, classes: tuple[ClassSource, ...]) -> str:
    """One hash of :func:`training_files`."""
    return digest(training_files(dataset, classes))


def _dataset_module(dataset: str) -> str:
    registered = entries("dataset").get(dataset)
    return registered.cls.__module__ if registered else "dmlbench.data.folder"


def git_state() -> dict:
    """Commit and whether code or config differs from it; says so where there is no git.

    Results do not count: a run replaces those kept in git.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PACKAGE), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "-uno", "--", ":(top)", ":(top,exclude)results")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError) as error:
        return {"commit": None, "dirty": None, "reason": type(error).__name__}


def hardware(device) -> dict:
    """What the last digits depend on besides the code: processor, ``device``'s GPU, and PyTorch."""
    import torch

    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
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
