"""Recipes that inherit from a preset, or from another recipe: ``base: r50_128``."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from dmlbench.config.read_yaml import read_config
from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import nearest


@cache
def presets() -> dict[str, dict[str, Any]]:
    """The presets by name: ``source``, ``reaches``, ``images``, ``differs`` and ``recipe``."""
    return read_config(Path(__file__).with_name("presets.yaml"))


def with_base(name: str, recipes: dict, seen: tuple[str, ...] = ()) -> Any:
    """The recipe ``name`` of a config's section ``recipes``, with the keys of its ``base`` that it
    does not set.

    A base is another recipe of the section, else a preset. Sections inside, such as ``optimizer``,
    are merged likewise, but for a schedule or a head of another kind. What is no recipe comes back
    as it is. ``seen`` are the recipes that the way led through.

    Raises:
        ConfigError: There is no such base, or it leads back to the recipe.
    """
    given = recipes[name]
    if not isinstance(given, dict) or given.get("base") is None:
        return given
    base, where = given["base"], f"recipes.{name}.base"
    own = {key: value for key, value in given.items() if key != "base"}
    if not isinstance(base, str):
        raise ConfigError(f"{where}: should be the name of a preset or recipe (got {base!r:.60})")
    if base in recipes and base != name:
        if base in seen:
            raise ConfigError(f"{where}: leads back to itself: {' -> '.join((*seen, name, base))}")
        return _merged(with_base(base, recipes, (*seen, name)), own)
    if base not in presets():
        known = [*presets(), *(str(other) for other in recipes if other != name)]
        raise ConfigError(f"{where}: no preset or recipe (got {base!r}){nearest(str(base), known)}")
    return _merged(presets()[base]["recipe"], own)


def _merged(base: Any, own: dict) -> dict:
    """``own`` over ``base``, section by section."""
    merged = deepcopy(base) if isinstance(base, dict) else {}
    for key, value in own.items():
        there = merged.get(key)
        inner = isinstance(value, dict) and isinstance(there, dict)
        merged[key] = _merged(there, value) if inner and not _other(key, value, there) else value
    return merged


def _other(key: str, own: dict, there: dict) -> bool:
    """Whether a schedule or a head is of another kind, which has none of the base's options."""
    kind = {"schedule": "name", "head": "type"}.get(key)
    return kind is not None and kind in own and own[kind] != there.get(kind)
