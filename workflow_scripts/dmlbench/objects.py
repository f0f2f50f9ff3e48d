"""Objects that a config describes by class path and keyword arguments."""

import importlib
import sys
from pathlib import Path

from dmlbench.config.class_path import constructor, find_class
from dmlbench.errors import ConfigError


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
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{path} cannot be imported: {error}") from None


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
    try:
        return import_class(spec["type"])(**extra, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"{spec['type']} cannot be built: {error}") from None
