"""From the name or path that a config gives to a class."""

import importlib
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dmlbench.errors import ConfigError
from dmlbench.plugins.arguments import Arguments
from dmlbench.plugins.library_classes import refuse_known_wrong, refuse_other_kinds, takes_of
from dmlbench.plugins.messages import nearest
from dmlbench.plugins.registry import REGISTRIES, registration


@dataclass(frozen=True)
class Entry:
    """One class that a config can name.

    Attributes:
        name: What the config calls it.
        cls: The class.
        facts: The decorator's keyword arguments; of a loss without one, ``takes``.
        arguments: What its constructor takes.
        foreign: It does not register itself, so only the arguments that the user gives are
            passed to it.
    """

    name: str
    cls: type
    facts: dict
    arguments: Arguments
    foreign: bool = False

    @property
    def summary(self) -> str:
        """The first line of the class docstring."""
        return (self.cls.__doc__ or "").strip().partition("\n")[0]


def is_class_path(name: str) -> bool:
    """Whether ``name`` is a path, such as ``package.module.Class``, not a registered name."""
    return "." in name


@cache
def entry(kind: str, name: str) -> Entry:
    """The class that a config calls ``name``: a registered name or a class path.

    Args:
        kind: loss, positive, negative or dataset; miner; or ``object`` for any other class.
        name: The name or path.

    Raises:
        ConfigError: There is none, it cannot be imported, or it does not belong there.
    """
    if is_class_path(name):
        return _by_path(kind, name)
    if kind not in REGISTRIES:
        raise ConfigError(f"'{name}' is no class path, such as package.module.Class")
    known = REGISTRIES[kind].classes()
    if name not in known:
        raise ConfigError(f"unknown {kind} type (got '{name}'){nearest(name, list(known))}")
    return _registered(name, known[name])


def entries(kind: str) -> dict[str, Entry]:
    """All registered classes of a ``kind``: loss, positive, negative or dataset."""
    return {name: entry(kind, name) for name in REGISTRIES[kind].classes()}


def _registered(name: str, cls: type) -> Entry:
    facts = registration(cls).facts  # type: ignore[union-attr]
    return Entry(name, cls, facts, Arguments.of(cls))


def _by_path(kind: str, path: str) -> Entry:
    cls = import_class(path)
    refuse_known_wrong(path, cls)
    said = registration(cls)
    if said and said.kind == kind:
        return _registered(path, cls)
    if said and kind != "object":
        raise ConfigError(f"{path} is no {kind}: it registers itself as a {said.kind}")
    if kind in ("positive", "negative", "dataset"):
        raise ConfigError(f"{path} is no {kind}: put @register_{kind}(...) above the class")
    if kind != "object":
        refuse_other_kinds(kind, path, cls)
    takes = {"takes": takes_of(cls)} if kind == "loss" else {}
    return Entry(path, cls, takes, Arguments.of(cls, foreign=kind), foreign=True)


def look_in_working_directory() -> None:
    """Have modules found that lie in the working directory, after those on PYTHONPATH."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()


def import_class(path: str) -> type:
    """The class at ``path``; the working directory counts as part of PYTHONPATH.

    Raises:
        ConfigError: There is no such module or class, or importing it fails; with file and line.
    """
    module, _, name = path.rpartition(".")
    look_in_working_directory()
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        raise ConfigError(_import_problem(path, module, error)) from error
    found = getattr(imported, name, None)
    if not isinstance(found, type):
        known = [key for key, value in vars(imported).items() if isinstance(value, type)]
        raise ConfigError(f"'{module}' has no class '{name}'{nearest(name, known)}")
    return found


def _import_problem(path: str, module: str, error: BaseException) -> str:
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    if missing and (module == missing or module.startswith(f"{missing}.")):
        top = module.partition(".")[0]
        what = f"no package '{top}'" if missing == top else f"'{top}' has no module '{module}'"
        return f"{what}; install it, put it on PYTHONPATH or into the working directory"
    return f"{path} cannot be imported: {said(error)}"


def said(error: BaseException) -> str:
    """An exception in one line, with the file and line of the user's code that raised it."""
    if isinstance(error, SyntaxError):
        return f"{_short(error.filename or '')}, line {error.lineno}: {error.msg}"
    text = " ".join(str(error).split())
    text = text if isinstance(error, ConfigError) else f"{type(error).__name__}: {text}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
    where = f"{_short(frames[-1].filename)}, line {frames[-1].lineno}: " if frames else ""
    return where + text


def _is_users(file: str) -> bool:
    """Whether a file is neither of Python, nor installed, nor of this library."""
    installed = "site-packages" in file or file.startswith(sysconfig.get_path("stdlib"))
    library = Path(file).is_relative_to(Path(__file__).parent.parent)
    return not (installed or library or file.startswith("<"))


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
