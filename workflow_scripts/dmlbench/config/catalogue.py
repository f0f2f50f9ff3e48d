"""What can be named in a config, read from the sources without importing them.

Losses, sampling rules and datasets register themselves with a decorator in their own file.
Snakemake parses the config in every cluster job, so importing torch here would cost seconds a
job; the decorator's literal arguments and the constructor's signature say all that is needed.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, create_model

from dmlbench.config.types import ANNOTATIONS
from dmlbench.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent
ROOMS = {
    "loss": ("losses", "register_loss"),
    "positive": ("samplers", "register_positive"),
    "negative": ("samplers", "register_negative"),
    "dataset": ("data/datasets", "register_dataset"),
}
#: Constructor arguments that the program supplies, not the user.
SUPPLIED = {"self", "num_classes", "embedding_dim"}


@dataclass(frozen=True)
class Entry:
    """One registered class.

    Attributes:
        name: What the config calls it.
        file: The source file, for messages and fingerprints.
        facts: The decorator's keyword arguments.
        options: A model of the constructor's keyword arguments.
        summary: The first line of the class docstring.
    """

    name: str
    file: Path
    facts: dict
    options: type[BaseModel]
    summary: str


@cache
def entries(kind: str) -> dict[str, Entry]:
    """All registered classes of a ``kind``: loss, positive, negative or dataset.

    Raises:
        ConfigError: Two classes have the same name.
    """
    folder, decorator = ROOMS[kind]
    found: dict[str, Entry] = {}
    for file in sorted((PACKAGE / folder).glob("*.py")):
        for entry in _entries_of(file, decorator):
            if entry.name in found:
                raise ConfigError(
                    f"{kind} '{entry.name}' is registered twice: in {found[entry.name].file.name} "
                    f"and in {file.name}; rename one"
                )
            found[entry.name] = entry
    return found


def _entries_of(file: Path, decorator: str) -> list[Entry]:
    found = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and getattr(call.func, "id", None) == decorator:
                facts = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
                name = ast.literal_eval(call.args[0])
                summary = (ast.get_docstring(node) or "").partition("\n")[0]
                found.append(Entry(name, file, facts, _options(node), summary))
    return found


def _options(node: ast.ClassDef) -> type[BaseModel]:
    """The model of a class's constructor arguments, from its source."""
    init = next(
        (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None
    )
    fields: dict = {}
    if init is not None:
        keywords = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        for argument, default in keywords:
            if argument.arg in SUPPLIED:
                continue
            annotation = eval(  # the package's own source, in a namespace of types only
                compile(ast.Expression(argument.annotation), node.name, "eval"),
                {"__builtins__": {}},
                ANNOTATIONS,
            )
            value = ... if default is None else ast.literal_eval(default)
            fields[argument.arg] = (annotation, value)
    return create_model(f"{node.name}Options", __config__=ConfigDict(extra="forbid"), **fields)
