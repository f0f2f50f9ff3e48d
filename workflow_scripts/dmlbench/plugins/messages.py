"""Config mistakes in words."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, Tag

#: What pydantic calls the branch of a union, which is no part of a config.
_BRANCH = re.compile(r"constrained-\w+|\w+\[.*\]|\.(str|int|float|bool)$")
#: More valid keys than this are counted, not listed.
_LISTED = 20


def describe(errors: Iterable[dict], model: type[BaseModel] | None = None) -> list[str]:
    """Pydantic's errors as 'section.key: what is wrong (got value); hint', one for each place.

    The fields of ``model``, which was validated, give the keys that would have been valid.
    """
    told: dict[str, list[str]] = {}
    for error in errors:
        where = ".".join(str(p) for p in error["loc"] if not _BRANCH.fullmatch(str(p)))
        if error["type"] not in ("missing", "extra_forbidden"):
            where = _BRANCH.sub("", where)
        told.setdefault(where or "top level", []).append(_told(error, model))
    # Each branch of a union has its errors; those that came further say more.
    inner = [w for w in told if not any(other.startswith(f"{w}.") for other in told)]
    return [f"{where}: {' or '.join(told[where])}" for where in inner]


def _told(error: dict, model: type[BaseModel] | None) -> str:
    kind, got = error["type"], _got(error)
    if kind == "extra_forbidden":
        keys = _keys_at(model, error["loc"][:-1]) if model else []
        return f"unknown key{got}{nearest(str(error['loc'][-1]), keys)}"
    if kind == "needs_python_object":
        return f"should describe an object: {{type: package.module.Class}}{got}"
    if kind == "missing":
        return f"this {'value' if isinstance(error['loc'][-1], int) else 'key'} is missing"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    hint = ""
    if kind == "literal_error":
        choices = error["ctx"]["expected"].replace(" or ", ",").split(",")
        hint = nearest(str(error["input"]), [choice.strip(" '") for choice in choices])
    return f"{message}{got}{hint}"


def _got(error: dict) -> str:
    value = error["input"]
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return "" if isinstance(value, BaseModel) or len(text) > 80 else f" (got {text})"


def nearest(key: str, valid: list[str]) -> str:
    """'; did you mean 'x'?' or, where nothing is near, the list of what is valid."""
    close = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    more = f" and {len(valid) - _LISTED} more" if len(valid) > _LISTED else ""
    return f"; valid here: {', '.join(sorted(valid)[:_LISTED])}{more}" if valid else ""


def _keys_at(model: type[BaseModel], path: tuple) -> list[str]:
    """The keys that are valid in the section that ``path`` leads to."""
    annotation: Any = model
    for part in path:
        fields = getattr(annotation, "model_fields", None)
        if fields and part in fields:
            annotation = fields[part].annotation
        else:  # a branch of a union, or an item of a list or a dict: go to the type of its values
            annotation = _tagged(annotation, part) or get_args(annotation)[-1]
    return list(getattr(annotation, "model_fields", {}))


def _tagged(annotation: Any, tag: object) -> Any:
    """The branch of a union that has this tag, if any."""
    inside = get_args(annotation)
    if any(isinstance(each, Tag) and each.tag == tag for each in inside):
        return inside[0]
    return next(filter(None, (_tagged(each, tag) for each in inside)), None)
