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

from dmlbench.errors import ConfigError
from dmlbench.plugins.class_path import (
    Source,
    constructor,
    find_class,
    is_class_path,
    method_arguments,
    read_tree,
    required_arguments,
)
from dmlbench.plugins.kinds import described_argument, refuse_other_kinds
from dmlbench.plugins.messages import nearest
from dmlbench.plugins.refused import REFUSED
from dmlbench.plugins.types import ANNOTATIONS, LossRate, Number

PACKAGE = Path(__file__).resolve().parent.parent
ROOMS = {
    "loss": ("losses", "register_loss"),
    "positive": ("samplers", "register_positive"),
    "negative": ("samplers", "register_negative"),
    "dataset": ("data/datasets", "register_dataset"),
}
#: What a decorator must say, and what it may say there.
_REQUIRED_FACTS = {
    "loss": {"takes": ("tuples", "batch")},
    "positive": {"chooses": ("one", "set")},
    "negative": {"chooses": ("one", "set")},
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
        kind: loss, positive, negative, dataset; without a registry miner, or ``object`` for any
            other class.
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
        tree = read_tree(file)
        for node in tree.body:
            if not isinstance(node, ast.ClassDef) or not (call := _call(node, decorator)):
                continue
            module = ".".join(["dmlbench", *folder.split("/"), file.stem])
            new = _registered(kind, None, Source(file, module, node, tree), call)
            if new.name in found:
                raise ConfigError(
                    f"{kind} '{new.name}' is registered twice: in {found[new.name].file.name} "
                    f"and in {file.name}; rename one"
                )
            found[new.name] = new
    return found


def shared_files(kind: str) -> list[Path]:
    """The files of a kind's room that register nothing: what its classes have in common."""
    room = ROOMS[kind][0]
    kinds = [other for other, (folder, _) in ROOMS.items() if folder == room]
    own = {e.file for other in kinds for e in entries(other).values()}
    return [file for file in (PACKAGE / room).glob("*.py") if file not in own]


def _by_path(kind: str, path: str) -> Entry:
    source = find_class(path)
    if reason := REFUSED.get(f"{source.module}.{source.node.name}"):
        raise ConfigError(f"{path} is refused: {reason}")
    call = _call(source.node, ROOMS[kind][1]) if kind in ROOMS else None
    if call:
        return _registered(kind, path, source, call)
    if kind != "object":
        _refuse_registered(kind, path, source)
        refuse_other_kinds(kind, path, source)
    options = _foreign_options(source, kind)
    return Entry(path, source.file, {"takes": _foreign_takes(source)}, options, "", foreign=True)


def _refuse_registered(kind: str, path: str, source: Source) -> None:
    """Raises ConfigError for a class that registers itself as something else."""
    for other, (_, decorator) in ROOMS.items():
        if _call(source.node, decorator):
            raise ConfigError(f"{path} is no {kind}: it registers itself as a {other}")


def _foreign_takes(source: Source) -> str:
    """Whether a loss of a library can, or must, be given tuples: its forward tells."""
    arguments = method_arguments(source, "forward")
    # What pytorch-metric-learning's losses call to refuse them.
    refuses = "indices_tuple_not_supported" in ast.unparse(source.node)
    if refuses or (arguments is not None and len(arguments) < 3):
        return "batch"
    return "tuples" if required_arguments(source, "forward") > 2 else "any"


def _call(node: ast.ClassDef, decorator: str) -> ast.Call | None:
    """The call of ``decorator`` above a class."""
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == decorator:
            return call
    return None


def _registered(kind: str, name: str | None, source: Source, call: ast.Call) -> Entry:
    """The entry of a class that registers itself, called ``name`` or as its decorator says."""
    where = f"{source.file}, line {source.node.lineno}: class {source.node.name}"
    try:
        registered = ast.literal_eval(call.args[0])
        facts = _facts(call, source.tree)
        options = _options(source)
    except (ValueError, NameError, TypeError, IndexError, SyntaxError) as error:
        raise ConfigError(
            f"{where}: the decorator must give a name and literals (or constants of the file), "
            f"defaults must be literals, and annotations unquoted and among {sorted(ANNOTATIONS)} "
            f"({str(error).partition(chr(10))[0]})"
        ) from None
    for key, valid in _REQUIRED_FACTS.get(kind, {}).items():
        if facts.get(key) not in valid:
            raise ConfigError(f"{where}: its decorator must say {key}=, one of {', '.join(valid)}")
    summary = (ast.get_docstring(source.node) or "").partition("\n")[0]
    return Entry(name or registered, source.file, facts, options, summary)


def _facts(call: ast.Call, tree: ast.Module) -> dict:
    """A decorator's keyword arguments: literals, or constants of the same file, ``**`` too."""
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    facts: dict = {}
    for keyword in call.keywords:
        value = keyword.value
        if isinstance(value, ast.Name) and value.id in constants:
            value = constants[value.id]
        literal = ast.literal_eval(value)
        facts |= literal if keyword.arg is None else {keyword.arg: literal}
    return facts


def _options(source: Source) -> type[BaseModel]:
    """The model of a registered class's constructor arguments, those of its bases included."""
    known = constructor(source)
    fields: dict = {}
    for argument, default in known.defaults.items():
        if argument in SUPPLIED:
            continue
        if argument not in known.annotations:
            raise TypeError(f"argument '{argument}' has no annotation")
        annotation = eval(  # an annotation, in a namespace of types only
            compile(ast.Expression(known.annotations[argument]), source.node.name, "eval"),
            {"__builtins__": {}},
            ANNOTATIONS,
        )
        if isinstance(annotation, str):
            raise TypeError(f"the annotation of '{argument}' is quoted")
        fields[argument] = (annotation, ... if default is None else ast.literal_eval(default))
    name = f"{source.node.name}Options"
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


def _foreign_options(source: Source, kind: str) -> type[BaseModel]:
    """The model of any class's constructor arguments; types follow from literal defaults."""
    known = constructor(source)
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
        described = described_argument(source.module, argument)
        annotation = Number if numeric else bool if isinstance(value, bool) else described
        fields[argument] = (annotation, ... if default is None else value)
    if kind == "loss":
        fields["loss_lr"] = (LossRate, None)
    extra = "allow" if known.open else "forbid"
    return create_model(f"{source.node.name}Options", __config__=ConfigDict(extra=extra), **fields)
