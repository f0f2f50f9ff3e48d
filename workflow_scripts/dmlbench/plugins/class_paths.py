"""Classes named by a path, such as ``package.module.Class``: what they are, and their code."""

import ast
import importlib
import importlib.util
import inspect
import json
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import nearest

_PACKAGE = Path(__file__).parent.parent
_LIBRARY = "pytorch_metric_learning"
#: Where pytorch-metric-learning keeps its losses and its miners.
_FAMILIES = {"loss": "losses", "miner": "miners"}
#: Classes that a config may not name, and why.
_REFUSED = json.loads(Path(__file__).with_name("refused.json").read_text(encoding="utf-8"))


def import_class(path: str) -> type:
    """The class at ``path``; the working directory counts as part of PYTHONPATH.

    Raises:
        ConfigError: There is no such module or class, or importing it fails; with file and line.
    """
    module, _, name = path.rpartition(".")
    _look_in_working_directory()
    try:
        owner = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing == module and "is not a package" in str(error):
            owner = import_class(module)  # a class that has others inside
        elif missing and f"{module}.".startswith(f"{missing}."):
            top = module.partition(".")[0]
            what = f"no package '{top}'" if missing == top else f"'{top}' has no module '{module}'"
            where = "install it, put it on PYTHONPATH or into the working directory"
            raise ConfigError(f"{what}; {where}") from error
        else:
            raise ConfigError(f"{path} cannot be imported: {said(error)}") from error
    found = getattr(owner, name, None)
    if not isinstance(found, type):
        known = [key for key, value in vars(owner).items() if isinstance(value, type)]
        raise ConfigError(f"'{module}' has no class '{name}'{nearest(name, known)}")
    return found


def said(error: BaseException) -> str:
    """An exception in one line, with the file and line of the user's code that raised it."""
    text = " ".join(str(error).split())
    text = text if isinstance(error, ConfigError) else f"{type(error).__name__}: {text}"
    places = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        text, places = error.msg, [(error.filename or "", error.lineno)]
    for file, line in reversed(places):
        path = Path(file)
        if path.is_file() and not _is_installed(path) and not path.is_relative_to(_PACKAGE):
            own = path.is_relative_to(Path.cwd())
            return f"{path.relative_to(Path.cwd()) if own else path}, line {line}: {text}"
    return text


def _is_installed(file: Path) -> bool:
    return "site-packages" in file.parts or file.is_relative_to(sysconfig.get_path("stdlib"))


def _look_in_working_directory() -> None:
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

    ``modules`` are to be hashed: that of a class of dmlbench or the user, and what the user's own
    modules import. ``package`` is name and version of the installed package of any other class.
    """

    modules: tuple[str, ...]
    package: str = ""


def class_source(cls: type) -> ClassSource:
    """The code of a class. A module of dmlbench stands for what it imports."""
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


def refuse_what_is_no(kind: str, path: str, cls: type) -> None:
    """Raise a ConfigError for a distance, say, or a base class in the place of a loss or a miner.

    A kind ``object`` may be any class that is not known to be wrong.
    """
    if reason := _REFUSED.get(f"{cls.__module__}.{cls.__name__}"):
        raise ConfigError(f"{path} is refused: {reason}")
    if kind == "object":
        return
    top, family = [*cls.__module__.split("."), ""][:2]
    if top == _LIBRARY and family != _FAMILIES[kind]:
        raise ConfigError(f"{path} is no {kind}: it is among the library's {family}")
    if top == "torch" or top in sys.stdlib_module_names:
        raise ConfigError(f"{path} is no {kind}: no class of Python or PyTorch takes labels so")
    forward = _forward(cls)
    if forward is None:
        raise ConfigError(f"{path} is no {kind}: it has no forward")
    arguments = _positional(forward)
    if arguments is not None and len(arguments) < 2:
        names = ", ".join(p.name for p in arguments)
        raise ConfigError(
            f"{path} is no {kind}: its forward takes ({names}), not embeddings and labels"
        )
    abstract = {n for n, value in vars(cls).items() if getattr(value, "__isabstractmethod__", 0)}
    if missing := sorted(abstract):
        raise ConfigError(f"{path} is a base class: what derives from it has to write {missing[0]}")


def takes_of(cls: type) -> str:
    """Whether a loss of a library must be given ``tuples``, takes a ``batch`` only, or ``any``."""
    compute = _method(cls, "compute_loss")
    # What pytorch-metric-learning's losses call to refuse tuples.
    refuses = compute and "indices_tuple_not_supported" in compute.__code__.co_names
    arguments = _positional(_forward(cls))
    if refuses or (arguments is not None and len(arguments) < 3):
        return "batch"
    required = [p for p in arguments or [] if p.default is p.empty]
    return "tuples" if len(required) > 2 else "any"


def _forward(cls: type) -> Callable | None:
    return _method(cls, "forward") or _method(cls, "__call__")


def _method(cls: type, name: str) -> Callable | None:
    """A method of a class, its own or inherited; those of PyTorch's base classes do not count."""
    bases = [base for base in cls.__mro__ if not base.__module__.startswith("torch.")]
    methods = (vars(base).get(name) for base in bases)
    return next(filter(inspect.isfunction, methods), None)


def _positional(function: Callable | None) -> list[inspect.Parameter] | None:
    """A method's positional parameters after self; None if it takes any number of them."""
    parameters = list(inspect.signature(function).parameters.values())[1:] if function else []
    if function is None or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
