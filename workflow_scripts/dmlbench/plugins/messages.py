"""Config mistakes in words."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

#: What pydantic calls the branch of a union, which is no part of a config.
_BRANCH = re.compile(r"constrained-\w+|\w+\[.*\]|\.(str|int|float|bool)$")
#: More valid keys than this are counted, not listed.
_LISTED = 20


def describe(
    errors: Iterable[dict], model: type[BaseModel] | None = None, section: str = ""
) -> list[str]:
    """Pydantic's errors as 'section.key: what is wrong (got value); hint', one for each place.

    The fields of ``model``, which was validated, give the keys that would have been valid; it is
    the config's ``section``, or all of it.
    """
    told: dict[str, list[str]] = {}
    for error in errors:
        where = ".".join(str(p) for p in error["loc"] if not _BRANCH.fullmatch(str(p)))
        if error["type"] not in ("missing", "extra_forbidden"):
            where = _BRANCH.sub("", where)
        where = ".".join(part for part in (section, where) if part)
        told.setdefault(where or "top level", []).append(_told(error, model))
    # Each branch of a union has its errors; those that came further say more.
    inner = [w for w in told if not any(other.startswith(f"{w}.") for other in told)]
    return [f"{where}: {' or '.join(told[where])}" for where in inner]


def _told(error: dict, model: type[BaseModel] | None) -> str:
    kind, got = error["type"], _got(error)
    if kind == "extra_forbidden":
        keys = list(_fields_at(model, error["loc"][:-1])) if model else []
        return f"unknown key{got}{nearest(str(error['loc'][-1]), keys)}"
    if kind == "needs_python_object":
        return f"should describe an object: {{type: package.module.Class}}{got}"
    if kind == "missing":
        return f"this {'value' if isinstance(error['loc'][-1], int) else 'key'} is missing"
    if kind in ("model_type", "dict_type"):
        return f"should be keys with values{_as_section(error, model)}{got}"
    if kind == "string_pattern_mismatch" and "[a-z0-9_]" in error["ctx"]["pattern"]:
        return f"should be of small letters, digits and _{_as_name(error)}{got}"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if "(got " in message:
        return message
    hint = ""
    if kind == "literal_error":
        choices = error["ctx"]["expected"].replace(" or ", ",").split(",")
        hint = nearest(str(error["input"]), [choice.strip(" '") for choice in choices])
    return f"{message}{got}{hint}"


def _got(error: dict) -> str:
    value = error["input"]
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return "" if isinstance(value, BaseModel) or len(text) > 80 else f" (got {text})"


def _as_section(error: dict, model: type[BaseModel] | None) -> str:
    """How a section is written that was given as a word: as the value of its first key."""
    fields = _fields_at(model, error["loc"]) if model else {}
    key, field = next(iter(fields.items()), ("", None))
    if not field or not isinstance(error["input"], str):
        return ""
    is_text = field.annotation in (str, str | None) or get_origin(field.annotation) is Literal
    return f", such as {error['loc'][-1]}: {{{key}: {error['input']}}}" if is_text else ""


def _as_name(error: dict) -> str:
    """The word as it might be written, if that would do."""
    word = re.sub(r"[^a-z0-9]+", "_", error["input"].lower()).strip("_")
    fits = re.search(error["ctx"]["pattern"], word)
    return f", such as {word}" if fits else ", the first a letter"


def nearest(key: str, valid: list[str]) -> str:
    """'; did you mean 'x'?' or, where nothing is near, the list of what is valid."""
    # All words of the key are in one name: clip stands for clip_grad_norm.
    whole = [name for name in valid if set(key.split("_")) <= set(name.split("_"))]
    close = whole if len(whole) == 1 else difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    more = f" and {len(valid) - _LISTED} more" if len(valid) > _LISTED else ""
    return f"; valid here: {', '.join(sorted(valid)[:_LISTED])}{more}" if valid else ""


def _fields_at(model: type[BaseModel], path: tuple) -> dict[str, FieldInfo]:
    """The keys that are valid in the section that ``path`` leads to, and what they take."""
    annotation: Any = model
    for part in path:
        fields = getattr(annotation, "model_fields", None)
        if fields and part in fields:
            annotation = fields[part].annotation
        else:  # a branch of a union, or an item of a list or a dict: go to the type of its values
            inside = _tagged(annotation, part), *get_args(annotation)[-1:]
            annotation = next(filter(None, inside), None)
    return getattr(annotation, "model_fields", {})


def _tagged(annotation: Any, tag: object) -> Any:
    """The branch of a union that has this tag, if any."""
    inside = get_args(annotation)
    if any(isinstance(each, Tag) and each.tag == tag for each in inside):
        return inside[0]
    return next(filter(None, (_tagged(each, tag) for each in inside)), None)
