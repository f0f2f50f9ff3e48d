"""Classes named by a path, such as ``package.module.Class``: importing them, and their code."""

import ast
import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import nearest


def import_class(path: str) -> type:
    """The class at ``path``; the working directory counts as part of PYTHONPATH.

    Raises:
        ConfigError: There is no such module or class, or importing it fails; with file and line.
    """
    module, _, name = path.rpartition(".")
    _look_in_working_directory()
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            top = module.partition(".")[0]
            what = f"no package '{top}'" if missing == top else f"'{top}' has no module '{module}'"
            reason = f"{what}; install it, put it on PYTHONPATH or into the working directory"
        else:
            reason = f"{path} cannot be imported: {said(error)}"
        raise ConfigError(reason) from error
    found = getattr(imported, name, None)
    if not isinstance(found, type):
        known = [key for key, value in vars(imported).items() if isinstance(value, type)]
        raise ConfigError(f"'{module}' has no class '{name}'{nearest(name, known)}")
    return found


def said(error: BaseException) -> str:
    """An exception in one line, with the file and line of the user's code that raised it."""
    if isinstance(error, SyntaxError):
        return f"{_short(error.filename or '')}, line {error.lineno}: {error.msg}"
    text = " ".join(str(error).split())
    text = text if isinstance(error, ConfigError) else f"{type(error).__name__}: {text}"
    library = Path(__file__).parent.parent
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and not _is_installed(Path(frame.filename))
        if not Path(frame.filename).is_relative_to(library)
    ]
    where = f"{_short(frames[-1].filename)}, line {frames[-1].lineno}: " if frames else ""
    return where + text


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _is_installed(file: Path) -> bool:
    return "site-packages" in file.parts or file.is_relative_to(sysconfig.get_path("stdlib"))


def _look_in_working_directory() -> None:
    """Have modules found that lie in the working directory, after those on PYTHONPATH."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()


def module_file(module: str) -> Path | None:
    """The Python file of a module; None if there is none. Imports the packages that it is in."""
    _look_in_working_directory()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and (spec.origin or "").endswith(".py") else None


@cache
def own_file(module: str) -> Path | None:
    """The file of a module of dmlbench or the user; None where it is installed or Python's."""
    file = module_file(module)
    own = file and (module.partition(".")[0] == "dmlbench" or not _is_installed(file))
    return file if own else None


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


def class_source(cls: type) -> ClassSource:
    """The code of a class. Of dmlbench only what the user's modules import by name is listed."""
    if own_file(cls.__module__) is None:
        top = cls.__module__.partition(".")[0]
        names = packages_distributions().get(top)
        return ClassSource((), f"{names[0]} {version(names[0])}" if names else top)
    found: set[str] = set()
    waiting = [cls.__module__]
    while waiting:
        name = waiting.pop()
        if name not in found and (file := own_file(name)):
            found.add(name)
            waiting += [] if name.partition(".")[0] == "dmlbench" else _imports(file, name)
    return ClassSource(tuple(sorted(found)))


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
