"""What can be named in a config, read from the sources without importing them.

Losses, sampling rules and datasets register themselves with a decorator in their own file; a class
of a library, or of the user's own module, is named by its path. Snakemake parses the config in
every cluster job, so importing torch here would cost seconds a job; the decorator's literal
arguments and the constructor's signature say all that is needed.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from dmlbench.config.class_path import Constructor, constructor, find_class, is_class_path
from dmlbench.config.messages import nearest
from dmlbench.config.refused import REFUSED
from dmlbench.config.types import ANNOTATIONS, LossRate, Number
from dmlbench.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent
ROOMS = {
    "loss": ("losses", "register_loss"),
    "positive": ("samplers", "register_positive"),
    "negative": ("samplers", "register_negative"),
    "dataset": ("data/datasets", "register_dataset"),
}
#: Constructor arguments that the program supplies, not the user.
SUPPLIED = {"num_classes", "embedding_dim", "embedding_size"}


@dataclass(frozen=True)
class Entry:
    """One class that a config can name.

    Attributes:
        name: What the config calls it.
        file: The source file, for messages and fingerprints.
        facts: The decorator's keyword arguments.
        options: A model of the constructor's keyword arguments.
        summary: The first line of the class docstring.
        foreign: It does not register itself, so only the arguments that the user gives are
            passed to it.
    """

    name: str
    file: Path
    facts: dict
    options: type[BaseModel]
    summary: str
    foreign: bool = False


@cache
def entry(kind: str, name: str) -> Entry:
    """The class that a config calls ``name``: a registered name or a class path.

    Args:
        kind: loss, positive, negative, dataset, or ``object`` for a class without a registry.
        name: The name or path.

    Raises:
        ConfigError: There is none, or it is known to be wrong.
    """
    if is_class_path(name):
        return _by_path(kind, name)
    if kind not in ROOMS:
        raise ConfigError(f"'{name}' is no class path, such as package.module.Class")
    known = entries(kind)
    if name not in known:
        raise ConfigError(f"unknown {kind} type (got '{name}'){nearest(name, list(known))}")
    return known[name]


@cache
def entries(kind: str) -> dict[str, Entry]:
    """All registered classes of a ``kind``: loss, positive, negative or dataset.

    Raises:
        ConfigError: Two classes have the same name.
    """
    folder, decorator = ROOMS[kind]
    found: dict[str, Entry] = {}
    for file in sorted((PACKAGE / folder).glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef) or not (call := _call(node, decorator)):
                continue
            new = _registered(kind, ast.literal_eval(call.args[0]), file, node, call)
            if new.name in found:
                raise ConfigError(
                    f"{kind} '{new.name}' is registered twice: in {found[new.name].file.name} "
                    f"and in {file.name}; rename one"
                )
            found[new.name] = new
    return found


def shared_files(kind: str) -> list[Path]:
    """The files of a kind's room that register nothing: what its classes have in common."""
    own = {e.file for e in entries(kind).values()}
    return [file for file in (PACKAGE / ROOMS[kind][0]).glob("*.py") if file not in own]


def _by_path(kind: str, path: str) -> Entry:
    source = find_class(path)
    if reason := REFUSED.get(f"{source.module}.{source.node.name}"):
        raise ConfigError(f"{path} is refused: {reason}")
    call = _call(source.node, ROOMS[kind][1]) if kind in ROOMS else None
    if call:
        return _registered(kind, path, source.file, source.node, call)
    options = _foreign_options(constructor(source), source.node.name, kind)
    return Entry(path, source.file, {"takes": "any"}, options, "", foreign=True)


def _call(node: ast.ClassDef, decorator: str) -> ast.Call | None:
    """The call of ``decorator`` above a class."""
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and getattr(call.func, "id", None) == decorator:
            return call
    return None


def _registered(kind: str, name: str, file: Path, node: ast.ClassDef, call: ast.Call) -> Entry:
    try:
        facts = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
        options = _options(node)
    except (ValueError, NameError, TypeError) as error:
        raise ConfigError(
            f"{file}: class {node.name}: the decorator's arguments and the defaults must be "
            f"literals, the annotations among {sorted(ANNOTATIONS)} ({error})"
        ) from None
    if kind == "loss" and facts.get("takes") not in ("tuples", "batch"):
        raise ConfigError(
            f'{file}: class {node.name}: @register_loss must say takes="tuples" or takes="batch"'
        )
    summary = (ast.get_docstring(node) or "").partition("\n")[0]
    return Entry(name, file, facts, options, summary)


def _options(node: ast.ClassDef) -> type[BaseModel]:
    """The model of a registered class's keyword-only constructor arguments."""
    init = next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)
    fields: dict = {}
    if isinstance(init, ast.FunctionDef):
        keywords = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        for argument, default in keywords:
            if argument.arg in SUPPLIED:
                continue
            if argument.annotation is None:
                raise TypeError(f"argument '{argument.arg}' has no annotation")
            annotation = eval(  # an annotation, in a namespace of types only
                compile(ast.Expression(argument.annotation), node.name, "eval"),
                {"__builtins__": {}},
                ANNOTATIONS,
            )
            value = ... if default is None else ast.literal_eval(default)
            fields[argument.arg] = (annotation, value)
    return create_model(f"{node.name}Options", __config__=ConfigDict(extra="forbid"), **fields)


def _foreign_options(known: Constructor, name: str, kind: str) -> type[BaseModel]:
    """The model of any class's constructor arguments; types follow from literal defaults."""
    fields: dict = {}
    for argument, default in known.defaults.items():
        if argument in SUPPLIED:
            continue
        value: Any = None
        if isinstance(default, ast.expr):
            try:
                value = ast.literal_eval(default)
            except ValueError:
                value = None
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        annotation = Number if numeric else bool if isinstance(value, bool) else Any
        fields[argument] = (annotation, ... if default is None else value)
    if kind == "loss":
        fields["loss_lr"] = (LossRate, None)
    extra = "allow" if known.open else "forbid"
    return create_model(f"{name}Options", __config__=ConfigDict(extra=extra), **fields)
