"""Which code made something: a hash for each step; and what ran where.

A step's hash is a parameter of its rule, so a change of its code has Snakemake do it again. It
covers the script and all that this imports from the library (nothing is imported to find that
out), but for what decides nothing.
"""

import ast
import hashlib
import json
import os
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from dmlbench.files import checksum_of
from dmlbench.plugins.class_paths import ClassSource, module_file
from dmlbench.plugins.entries import entries
from dmlbench.workflow.git_state import git_state

PACKAGE = Path(__file__).resolve().parent.parent
SCRIPTS = PACKAGE.parent
#: Modules and packages that decide nothing about results, and why. One that is added counts until
#: it is named here.
DECIDES_NOTHING = {
    "dmlbench.cli": "command lines and logs",
    "dmlbench.config": "what it reads from a config is a parameter of each rule",
    "dmlbench.data.disk": "says how much room there is, and copies files",
    "dmlbench.data.download": "archives are what their checksums say",
    "dmlbench.data.folder": "counts where it is the dataset",
    "dmlbench.data.http_source": "archives are what their checksums say",
    "dmlbench.errors": "names of mistakes",
    "dmlbench.files": "writes files whole",
    "dmlbench.paths": "places, which are parameters of each rule",
    "dmlbench.plugins.class_paths": "imports or refuses classes, whose code is hashed here",
    "dmlbench.plugins.messages": "words of mistakes",
    "dmlbench.progress": "words on a terminal",
    "dmlbench.records": "reads what was written, or refuses it",
    "dmlbench.training.checkpoint": "a training goes on from one to the same bytes",
    "dmlbench.training.enough": "refuses what cannot be trained, and counts",
    "dmlbench.training.run_lock": "who may train",
    "dmlbench.training.session": "when a training begins and ends, and how it is written",
    "dmlbench.training.stopping": "when a training leaves",
    "dmlbench.workflow": "records of what was done",
}
#: Inside one of those packages, and decides something: which rows are measured, which images are in
#: a table, and what is counted of queries.
_DECIDES = (
    "dmlbench.config.dataset_facts",
    "dmlbench.config.image_tables",
    "dmlbench.config.variation",
)
#: What decides something for one step only, by its script: how records are read.
_ALSO = {"check": ("dmlbench.records", "dmlbench.workflow.job_records")}
#: Modules of these packages register themselves and are found by looking into the folder: whoever
#: imports the package depends on each of them.
_FOUND_BY_FOLDER = ("dmlbench.evaluation.metrics", "dmlbench.reporting.figures")
PACKAGES = (
    "torch", "timm", "numpy", "faiss-gpu", "faiss-cpu", "scikit-learn", "pytorch-metric-learning",
    "dmlbench",
)  # fmt: skip


def step_files(script: str, step: str | None = None, *more: str) -> dict[str, str]:
    """The hashes of the source files that a step depends on: of the script, and by module.

    ``script`` is named without ``.py``, ``step`` where it has several. The modules ``more`` count
    whatever they are.
    """
    more = (*more, *_ALSO.get(script, ()))
    roots = {*_script_imports(script, step), *more}
    modules = closure(roots, DECIDES_NOTHING, {*_DECIDES, *more})
    hashes = {f"{script}.py": _hash(SCRIPTS / f"{script}.py")}
    for name in sorted(modules):
        place = SCRIPTS.joinpath(*name.split("."))
        hashes[name] = _hash(place / "__init__.py" if place.is_dir() else place.with_suffix(".py"))
    return hashes


@cache
def step_code(script: str, step: str | None = None) -> str:
    """One hash of :func:`step_files`; that of a report also covers the texts that it fills in."""
    files = step_files(script, step)
    if script == "report":
        folder = PACKAGE / "reporting"
        texts = [file for file in folder.rglob("*") if file.suffix in (".yaml", ".j2")]
        files |= {str(file.relative_to(folder)): _hash(file) for file in texts}
    return _digest(files)


@cache
def data_code(dataset: str) -> str:
    """The hash of the sources that a prepared dataset depends on."""
    return _digest(step_files("prepare", None, _dataset_module(dataset)))


@cache
def training_files(dataset: str, classes: tuple[ClassSource, ...]) -> dict[str, str]:
    """The hashes of the sources that a trained model depends on: of the losses only its own.

    ``classes`` are those that the run's config names (:meth:`dmlbench.config.Plan.sources`).
    """
    named = [module for source in classes for module in source.modules]
    files = step_files("train", None, "dmlbench.training.loop", _dataset_module(dataset), *named)
    own = {name: module_file(name) for name in named if name not in files}
    files |= {name: _hash(file) for name, file in own.items() if file}
    return files | {source.package: source.package for source in classes if source.package}


@cache
def training_code(dataset: str, classes: tuple[ClassSource, ...]) -> str:
    """One hash of :func:`training_files`."""
    return _digest(training_files(dataset, classes))


def closure(roots: Iterable[str], stop: Iterable[str] = (), always: Iterable[str] = ()) -> set[str]:
    """The modules of the library that ``roots`` import, directly or not, and themselves.

    Left out are those in ``stop`` (modules or packages) with all that only they import, but for
    those in ``always``.
    """
    graph, always = _graph(), frozenset(always)
    found: set[str] = set()
    waiting = [*roots]
    while waiting:
        name = waiting.pop()
        if name in found or name not in graph.modules or (name not in always and is_in(name, stop)):
            continue
        found.add(name)
        waiting += graph.find_modules_directly_imported_by(name)
        # Python also runs the __init__.py of every package on the way; that of all only names it.
        package = name.rpartition(".")[0]
        waiting += [package] if "." in package else []
        if name in _FOUND_BY_FOLDER:
            waiting += graph.find_descendants(name)
    return found


def is_in(name: str, packages: Iterable[str]) -> bool:
    """Whether a module is one of ``packages`` or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@cache
def _graph() -> Any:
    """Who imports whom in the library, wherever in a file the import stands."""
    import grimp  # only where a hash is asked for: 0.4 s, and as much for the graph

    return grimp.build_graph("dmlbench", cache_dir=None, exclude_type_checking_imports=True)


@cache
def _script_imports(script: str, step: str | None = None) -> frozenset[str]:
    """What a script imports from the library, but for imports inside other steps than ``step``."""
    tree = ast.parse((SCRIPTS / f"{script}.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    others = {c.args[0].id for c in calls if ast.unparse(c.func) == "steps.add"} - {step}
    parts = [p for p in tree.body if not (isinstance(p, ast.FunctionDef) and p.name in others)]
    found: set[str] = set()
    for node in (node for part in parts for node in ast.walk(part)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from dmlbench import cli` needs no more of the package itself.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner if inner <= _graph().modules else {*inner, node.module}
    return frozenset(found)


def _dataset_module(dataset: str) -> str:
    registered = entries("dataset").get(dataset)
    return registered.cls.__module__ if registered else "dmlbench.data.folder"


def _hash(file: Path) -> str:
    return checksum_of(file)[:16]


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


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
