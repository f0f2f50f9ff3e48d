"""Objects that a config describes by name or class path and keyword arguments."""

from typing import Any

from dmlbench.errors import ConfigError
from dmlbench.plugins.arguments import has_described, is_described
from dmlbench.plugins.entries import entry, said


def build_object(kind: str, spec: Any, **supplied: object) -> Any:
    """The object that ``{type: class, argument: value, ...}`` describes, inside values too.

    Args:
        kind: loss, positive, negative, miner, or ``object`` for any other class.
        spec: The description, valid; a list of them gives a list.
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
        known = supplied | {"embedding_size": supplied.get("embedding_dim")}
        values = {key: known[key] for key in found.arguments.supplied if key in known}
    for key, value in spec.items():
        if key == "type":
            continue
        if has_described(value) and not found.arguments.keeps_description(key):
            values[key] = build_object("object", value, **supplied)
        else:
            values[key] = found.arguments.value(key, value)
    try:
        return found.cls(**values)
    except ConfigError:
        raise
    except Exception as error:  # whatever a constructor does
        raise ConfigError(f"{spec['type']} cannot be built: {said(error)}") from error
