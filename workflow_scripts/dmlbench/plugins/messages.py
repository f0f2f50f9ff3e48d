"""Config mistakes in words."""

import difflib
from typing import Any, get_args

from pydantic import BaseModel


def describe(error: dict, model: type[BaseModel] | None = None) -> str:
    """One pydantic ``error`` as 'section.key: what is wrong (got value); hint'.

    The fields of ``model``, which was validated, give the keys that would have been valid.
    """
    where = ".".join(str(part) for part in error["loc"]) or "top level"
    kind = error["type"]
    if kind == "extra_forbidden":
        keys = _keys_at(model, error["loc"][:-1]) if model else []
        return f"{where}: unknown key {_got(error)}{nearest(str(error['loc'][-1]), keys)}"
    if kind == "needs_python_object":
        return f"{where}: should describe an object: {{type: package.module.Class}} {_got(error)}"
    if kind == "missing":
        return f"{where}: this key is missing"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    hint = ""
    if kind == "literal_error":
        choices = error["ctx"]["expected"].replace(" or ", ",").split(",")
        hint = nearest(str(error["input"]), [choice.strip(" '") for choice in choices])
    return f"{where}: {message} {_got(error)}{hint}"


def _got(error: dict) -> str:
    value = error["input"]
    text = repr(value)
    return "" if isinstance(value, BaseModel) or len(text) > 80 else f"(got {text})"


def nearest(key: str, valid: list[str]) -> str:
    """'; did you mean 'x'?' or, where nothing is near, the list of what is valid."""
    close = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; valid here: {', '.join(sorted(valid))}" if valid else ""


def _keys_at(model: type[BaseModel], path: tuple) -> list[str]:
    """The keys that are valid in the section that ``path`` leads to."""
    annotation: Any = model
    for part in path:
        fields = getattr(annotation, "model_fields", None)
        if fields and part in fields:
            annotation = fields[part].annotation
        else:  # an item of a list or a dict: go to the type of its values
            annotation = get_args(annotation)[-1]
    return list(getattr(annotation, "model_fields", {}))
