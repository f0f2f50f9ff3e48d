"""Which code the classes of a run are: what its results depend on besides the library's own."""

import ast
import importlib.util
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

from dmlbench.plugins.entries import entry, look_in_working_directory


@dataclass(frozen=True, order=True)
class ClassSource:
    """The code of one class, without any place of this machine.

    Attributes:
        modules: Dotted names of the modules to hash: the one that holds the class, where it is
            dmlbench's or the user's own; and what the user's own modules import, likewise.
        package: Of an installed package's class, the package's name and version, such as
            ``pytorch-metric-learning 2.9.0``; empty else.
    """

    modules: tuple[str, ...]
    package: str = ""


@cache
def class_source(kind: str, name: str) -> ClassSource:
    """The code of the class that a config calls ``name``.

    Raises:
        ConfigError: There is no such class.
    """
    cls = entry(kind, name).cls
    module = cls.__module__
    if is_own(module):
        return ClassSource(tuple(sorted(_with_imports(module))))
    top = module.partition(".")[0]
    names = packages_distributions().get(top)
    return ClassSource((), f"{names[0]} {version(names[0])}" if names else top)


def module_file(module: str) -> Path | None:
    """The Python file of a module; None if there is none. Imports the packages that it is in."""
    look_in_working_directory()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and (spec.origin or "").endswith(".py") else None


@cache
def is_own(module: str) -> bool:
    """Whether a module is dmlbench's or the user's: neither installed nor Python's."""
    if module.partition(".")[0] == "dmlbench":
        return True
    file = module_file(module)
    installed = file is None or "site-packages" in file.parts
    return not installed and not file.is_relative_to(sysconfig.get_path("stdlib"))


def _with_imports(module: str) -> set[str]:
    """The module and, of the user's own ones, everything of the user's that they import.

    Of dmlbench those are named that the user's modules import, not what those import in turn.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or not is_own(name) or (file := module_file(name)) is None:
            continue
        found.add(name)
        if name.partition(".")[0] != "dmlbench":
            waiting += _imports(file, name)
    return found


def _imports(file: Path, module: str) -> Iterator[str]:
    """The dotted names that a file may import, wherever in it; some are no modules."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            try:
                origin = importlib.util.resolve_name(origin, package)
            except ImportError:  # beyond the top-level package
                continue
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)
