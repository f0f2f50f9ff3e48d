"""The sections of a config, each checked by itself: what is right is kept beside what is wrong."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError

from dmlbench.config.models import Benchmark
from dmlbench.config.presets import with_base
from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import describe

#: A section, or a section and a key in it, such as the name of a recipe.
Place = tuple[str, ...]

_DEEPEST = 40
_PLAIN = (dict, list, str, int, float, type(None))  # a bool is an int
#: What stands for keys of evaluation where one is wrong: nothing is too small for these.
_LEAST = {"metrics": ["recall"], "recall_at": [1], "nmi_plus": 2}
#: What stands for a section that is wrong or missing: no other section can contradict it.
_STAND_IN: dict[str, Any] = {
    "name": "unnamed",
    "seeds": [0],
    "selections": ["last"],
    "controls": [],
    "recipes": {},
    "losses": {},
    "samplers": {},
    "evaluation": _LEAST,
    # A config has to have one; it is taken out again.
    "experiments": {"none": {"dataset": "none", "recipe": "none", "features": ["none"]}},
}


class Sound(NamedTuple):
    """What is right of a config.

    Attributes:
        benchmark: The whole config, or what is left of it, with stand-ins for keys that it needs.
        problems: A line for each mistake.
        left_out: Where these are.
    """

    benchmark: Benchmark
    problems: list[str]
    left_out: set[Place]


def sound(data: dict) -> Sound:
    """Check the sections of a config, each by itself."""
    found = [(_place(path, data), line) for path, line in _not_plain(data, ())]
    data = {str(key): value for key, value in data.items()}  # YAML reads a key "on" as true
    rest = _without(data, {place for place, _ in found})
    for name in rest["recipes"] if isinstance(rest.get("recipes"), dict) else ():
        try:
            based = with_base(name, data["recipes"])
            rest = rest | {"recipes": rest["recipes"] | {name: based}}
        except ConfigError as error:
            found.append((("recipes", str(name)), str(error)))
    left_out = {place for place, _ in found}
    rest, problems = _without(rest, left_out), [line for _, line in found]
    try:
        benchmark = Benchmark.model_validate(rest)
    except ValidationError as error:
        errors = error.errors()
        left_out |= {_place(each["loc"], rest) for each in errors}
        own = [each for each in errors if not _is_inherited(each, errors, data)]
        problems += describe(own, Benchmark)
        benchmark = _partly(rest, left_out)
    if left_out and list(benchmark.experiments) == list(_STAND_IN["experiments"]):
        benchmark = benchmark.model_copy(update={"experiments": {}})
    return Sound(benchmark, list(dict.fromkeys(problems)), left_out)


def _not_plain(value: Any, path: Place) -> Iterator[tuple[Place, str]]:
    """What JSON has not, wherever it stands: infinities, NaN, dates, and keys that are no words."""
    where = ".".join(path)
    if len(path) > _DEEPEST:
        yield path, f"{where[:60]}...: sections lie more than {_DEEPEST} deep inside one another"
        return
    if isinstance(value, float) and not math.isfinite(value):
        yield path, f"{where}: should be a finite number (got {value})"
    if not isinstance(value, _PLAIN):
        yield path, f"{where}: should be text, a number, a list or keys; put quotes around {value}"
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        inside = (*path, str(key))
        if not isinstance(key, str | int):
            yield inside, f"{where or 'top level'}: a key must be a word (got {key!r})"
        yield from _not_plain(item, inside)


def _place(path: tuple, data: dict) -> Place:
    """What is left out for a mistake at ``path``: a key of a section, or the section if it has
    none.
    """
    length = 2 if isinstance(data.get(path[0]), dict) else 1
    return tuple(str(part) for part in path[:length])


def _without(data: dict, places: set[Place]) -> dict:
    """``data`` without these places, with stand-ins for what must be there."""
    sections = {place[0] for place in places if len(place) == 1}
    rest = {key: value for key, value in data.items() if key not in sections}
    for section, name in (place for place in places if len(place) == 2):
        if isinstance(rest.get(section), dict):
            kept = {k: v for k, v in rest[section].items() if str(k) != name}
            kept = _LEAST | kept if section == "evaluation" else kept
            rest[section] = kept or _STAND_IN.get(section, kept)
    return rest | {key: _STAND_IN[key] for key in sections & set(_STAND_IN)}


def _partly(data: dict, left_out: set[Place]) -> Benchmark:
    """What is right of ``data``, which has mistakes in these places."""
    rest = _without(data, left_out)
    try:
        return Benchmark.model_validate(rest)
    except ValidationError as error:  # keys that do not go together without the one that is wrong
        left_out |= {(str(each["loc"][0]),) for each in error.errors()}
        return Benchmark.model_validate(_without(rest, left_out))


def _is_inherited(error: dict, errors: list[dict], data: dict) -> bool:
    """Whether a mistake in a recipe is one of its base, which has told it."""
    section, *inside = error["loc"]
    is_inside = section == "recipes" and len(inside) > 1
    given = data[section].get(inside[0]) if is_inside else None
    base = given.get("base") if isinstance(given, dict) else None
    of_base = (section, base, *inside[1:])
    return base not in (None, *inside[:1]) and any(each["loc"] == of_base for each in errors)
