"""Which modules a step loads: the closure of its imports, found without importing anything."""

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from dmlbench.files import checksum_of

PACKAGE = Path(__file__).resolve().parent.parent
SCRIPTS = PACKAGE.parent
#: Modules of these packages register themselves and are found by looking into the folder: whoever
#: imports the package depends on each of them.
_FOUND_BY_FOLDER = ("dmlbench.evaluation.metrics", "dmlbench.reporting.figures")


@cache
def _graph() -> Any:
    """Who imports whom in the library, wherever in a file the import stands."""
    import grimp  # only where a hash is asked for: 0.4 s, and as much for the graph

    return grimp.build_graph("dmlbench", cache_dir=None, exclude_type_checking_imports=True)


def closure(roots: Iterable[str], stop: Iterable[str] = (), always: Iterable[str] = ()) -> set[str]:
    """The modules that ``roots`` import, directly or not, and themselves.

    Left out are modules of others, and those in ``stop`` (modules or packages) with all that only
    they import, but for those in ``always``.
    """
    graph, stop, always = _graph(), tuple(stop), frozenset(always)
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
def script_imports(script: str, step: str | None = None) -> frozenset[str]:
    """What a script imports from the library, by its name without ``.py``.

    Of one with several steps, the imports inside other steps than ``step`` do not count.
    """
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


def content_hash(file: Path) -> str:
    """A short hash of a file."""
    return checksum_of(file)[:16]


def hashes(modules: Iterable[str]) -> dict[str, str]:
    """The hash of every module of the library by its name, sorted."""
    places = {name: SCRIPTS.joinpath(*name.split(".")) for name in sorted(modules)}
    files = {
        n: p / "__init__.py" if p.is_dir() else p.with_suffix(".py") for n, p in places.items()
    }
    return {name: content_hash(file) for name, file in files.items()}


def digest(files: dict[str, str]) -> str:
    """One hash of many."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
