"""From a name or class path in a config to the class, its arguments and an object of it."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from dmlbench.errors import ConfigError
from dmlbench.plugins.arguments import Arguments, has_described, is_described
from dmlbench.plugins.class_paths import (
    ClassSource,
    class_source,
    import_class,
    refuse_what_is_no,
    said,
    takes_of,
)
from dmlbench.plugins.messages import nearest
from dmlbench.plugins.registry import REGISTRIES


@dataclass(frozen=True)
class Entry:
    """One class that a config can name.

    ``facts`` are the decorator's keyword arguments; of a loss without one, ``takes``. A ``foreign``
    class does not register itself; its constructor gets only the options that the user gives.
    """

    name: str
    cls: type
    facts: dict
    arguments: Arguments
    foreign: bool = False

    @cached_property
    def source(self) -> ClassSource:
        """The code of the class."""
        return class_source(self.cls)


@cache
def entry(kind: str, name: str) -> Entry:
    """The class that a config calls ``name``: a registered name or a class path.

    ``kind`` is one of the registries', miner, or ``object`` for any other class.

    Raises:
        ConfigError: There is none, it cannot be imported, or it does not belong there.
    """
    if "." in name:
        cls = import_class(name)
        registered = cls.__dict__.get("registration")  # its own, not that of a base class
        if registered is None or registered.kind != kind:
            return _unregistered(kind, name, cls)
    elif kind not in REGISTRIES:
        raise ConfigError(f"'{name}' is no class path, such as package.module.Class")
    else:
        known = REGISTRIES[kind].classes()
        if name not in known:
            raise ConfigError(f"unknown {kind} type (got '{name}'){nearest(name, list(known))}")
        cls = known[name]
    return Entry(name, cls, cls.__dict__["registration"].facts, Arguments.of(cls))


def _unregistered(kind: str, path: str, cls: type) -> Entry:
    registered = cls.__dict__.get("registration")
    if registered and kind != "object":
        raise ConfigError(f"{path} is no {kind}: it registers itself as a {registered.kind}")
    if kind in REGISTRIES and kind != "loss":
        raise ConfigError(f"{path} is no {kind}: put @register_{kind}(...) above the class")
    refuse_what_is_no(kind, path, cls)
    facts = {"takes": takes_of(cls)} if kind == "loss" else {}
    return Entry(path, cls, facts, Arguments.of(cls, foreign=kind), foreign=True)


def entries(kind: str) -> dict[str, Entry]:
    """All registered classes of a ``kind``."""
    return {name: entry(kind, name) for name in REGISTRIES[kind].classes()}


def build_object(kind: str, spec: Any, **supplied: object) -> Any:
    """The object that ``{type: class, argument: value, ...}`` describes, inside values too.

    A list of descriptions gives a list of objects.

    Args:
        kind: See :func:`entry`.
        spec: The description, which is valid.
        supplied: Arguments that the program knows. A class that registers itself is given all of
            them, any other those that its constructor has (``embedding_size`` is another name of
            ``embedding_dim``).

    Raises:
        ConfigError: The class cannot be imported or refuses its arguments.
    """
    if isinstance(spec, list):
        return [build_object(kind, item, **supplied) for item in spec]
    if not is_described(spec):
        return spec
    found = entry(kind, spec["type"])
    values: dict = supplied
    if found.foreign:
        given = supplied | {"embedding_size": supplied.get("embedding_dim")}
        values = {key: given[key] for key in found.arguments.supplied if key in given}
    for key, value in spec.items():
        if key == "type":
            continue
        argument = found.arguments.known.get(key)
        if has_described(value) and not (argument and argument.keeps_description()):
            values[key] = build_object("object", value, **supplied)
        else:
            values[key] = argument.value(value) if argument else value
    try:
        return found.cls(**values)
    except ConfigError:
        raise
    except Exception as error:  # whatever a constructor does
        raise ConfigError(f"{spec['type']} cannot be built: {said(error)}") from error
