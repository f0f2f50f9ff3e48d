"""Objects that a config describes by class path and keyword arguments."""

import importlib
import sys
from pathlib import Path

from dmlbench.errors import ConfigError
from dmlbench.plugins.class_path import constructor, find_class


def import_class(path: str) -> type:
    """The class itself.

    Raises:
        ConfigError: It cannot be imported.
    """
    module, _, name = path.rpartition(".")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a module does when it is imported
        raise ConfigError(f"{path} cannot be imported: {_said(error)}") from error
    if not isinstance(found, type):
        raise ConfigError(f"{path} is no class; does a decorator above it lack its parentheses?")
    return found


def build_object(spec: object, **supplied: object) -> object:
    """The object that ``{type: class path, argument: value, ...}`` describes, inside values too.

    Args:
        spec: The description; what is no description is returned as it is.
        supplied: Arguments that the program knows; each is passed if the constructor has it.

    Raises:
        ConfigError: The constructor refuses its arguments.
    """
    if isinstance(spec, list):
        return [build_object(item, **supplied) for item in spec]
    if not isinstance(spec, dict) or "type" not in spec:
        return spec
    options = {key: build_object(value, **supplied) for key, value in spec.items() if key != "type"}
    known = constructor(find_class(spec["type"])).names
    extra = {key: value for key, value in supplied.items() if key in known and key not in options}
    return construct(spec["type"], **extra, **options)


def construct(path: str, **options: object) -> object:
    """The class at ``path``, called with ``options``.

    Raises:
        ConfigError: It cannot be imported or refuses its arguments.
    """
    cls = import_class(path)
    try:
        return cls(**options)
    except Exception as error:  # whatever a constructor does
        raise ConfigError(f"{path} cannot be built: {_said(error)}") from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
