"""What a constructor takes, checked by its signature and type hints."""

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pydoc import locate
from typing import Any, Optional, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import describe, nearest
from dmlbench.plugins.types import LossRate, LossSpec, Number

#: Arguments that the program gives, not the user.
_SUPPLIED = {"num_classes", "embedding_dim", "embedding_size"}
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
#: What pytorch-metric-learning's constructors take under these names: they have no annotations.
_LIBRARY_ARGUMENTS = {
    "distance": "pytorch_metric_learning.distances.BaseDistance",
    "reducer": "pytorch_metric_learning.reducers.BaseReducer",
    "embedding_regularizer": "pytorch_metric_learning.regularizers.BaseRegularizer",
    "weight_regularizer": "pytorch_metric_learning.regularizers.BaseRegularizer",
    "loss": "torch.nn.Module",
}


def is_described(value: Any) -> bool:
    """Whether a value describes an object: ``{type: class, argument: value, ...}``."""
    return isinstance(value, Mapping) and isinstance(value.get("type"), str)


def has_described(value: Any) -> bool:
    """Whether a value is, or lists, descriptions."""
    return is_described(value) or (isinstance(value, list) and any(map(has_described, value)))


@dataclass(frozen=True)
class Argument:
    """One keyword argument of a constructor; the ``annotation`` may have pydantic's constraints."""

    annotation: Any
    required: bool
    default: Any = inspect.Parameter.empty

    @cached_property
    def _adapter(self) -> TypeAdapter:
        # A tuple of one: pydantic takes no settings for a dataclass that stands alone.
        settings = ConfigDict(arbitrary_types_allowed=True, extra="forbid")
        return TypeAdapter(tuple[self.annotation], config=settings)  # type: ignore[name-defined]

    def value(self, given: Any) -> Any:
        """The Python value of what a config gives: a tuple for a list, a member for an enum.

        A ValidationError where it does not fit the type; text is no number, and true neither.
        """
        return self._adapter.validate_json(json.dumps([given]), strict=True)[0]

    def plain(self, value: Any) -> Any:
        """A Python value as plain data; a ValueError where pydantic cannot make data of it."""
        return self._adapter.dump_python((value,), mode="json", warnings=False)[0]

    def plain_default(self) -> Any:
        """The default as plain data; a ValueError where no data give it back, as of an object."""
        made = self.plain(self.default)
        back = self.value(made)
        # A whole number is as good a default of a float.
        if back != self.default or type(back) not in (type(self.default), float):
            raise ValueError(f"{self.default!r} is no plain data")
        return made

    def keeps_description(self) -> bool:
        """Whether the constructor takes an object's description in the place of the object."""
        return LossSpec in (self.annotation, *get_args(self.annotation))

    def refusal(self, described: type) -> str:
        """Why an object of the class ``described`` cannot be given; empty if it can."""
        hints = (self.annotation, *get_args(self.annotation))
        wanted = [hint for hint in hints if isinstance(hint, type) and hint is not type(None)]
        if not wanted or Any in wanted or issubclass(described, tuple(wanted)):
            return ""
        names = " or ".join(each.__name__ for each in wanted)
        return f"should be {names}, which {described.__name__} does not derive from"


@dataclass(frozen=True)
class Arguments:
    """The keyword arguments of a class's constructor, those it hands on to its bases included.

    ``known`` are those that the user can give, ``supplied`` those that the program gives.
    """

    known: dict[str, Argument]
    supplied: set[str]

    @classmethod
    def of(cls, target: type, foreign: str = "") -> "Arguments":
        """Read the signature of ``target``; ``foreign`` is its kind if it does not register itself.

        A ConfigError where an annotation means nothing.
        """
        known: dict[str, Argument] = {}
        for name, parameter, hint, inherited in _parameters(target, bool(foreign)):
            if hint is parameter.empty:
                hint = _type_of(parameter.default)
                from_library = target.__module__.startswith("pytorch_metric_learning.")
                if hint is Any and from_library and name in _LIBRARY_ARGUMENTS:
                    hint = locate(_LIBRARY_ARGUMENTS[name])
            if parameter.default is None:
                hint = Optional[hint]  # noqa: UP045 (a quoted annotation has no |)
            required = parameter.default is parameter.empty and not inherited
            known[name] = Argument(hint, required, parameter.default)
        supplied = _SUPPLIED & set(known)
        known = {name: argument for name, argument in known.items() if name not in supplied}
        if foreign == "loss":
            known["loss_lr"] = Argument(LossRate, required=False)
        return cls(known, supplied)

    def problems(self, options: dict) -> Iterator[str]:
        """One line for each option that is wrong, without those of described objects inside."""
        for name, value in options.items():
            if name not in self.known:
                yield f"{name}: unknown key (got {value!r:.80}){nearest(name, list(self.known))}"
            elif not has_described(value) or self.known[name].keeps_description():
                try:
                    self.known[name].value(value)
                except ValidationError as error:
                    found = error.errors()
                    yield from describe({**e, "loc": (name, *e["loc"][1:])} for e in found)
        for name, argument in self.known.items():
            if argument.required and name not in options:
                yield f"{name}: this key is missing"

    def defaults(self) -> dict:
        """The defaults as plain data; those that are no data, such as objects, are left out."""
        found = {}
        for name, argument in self.known.items():
            with suppress(ValueError):
                found[name] = argument.plain_default()
        return found

    def plain(self, options: dict) -> dict:
        """Valid options as plain data."""
        return {
            name: value
            if has_described(value)
            else self.known[name].plain(self.known[name].value(value))
            for name, value in options.items()
        }


def _parameters(target: type, foreign: bool) -> Iterator[tuple[str, inspect.Parameter, Any, bool]]:
    """Name, parameter, type hint of each keyword argument, and whether only a base asks for it.

    As long as a constructor takes ``**others``, those of the next one in the order of bases follow.
    A library's annotations that mean nothing at run time count as none.
    """
    seen: set[str] = set()
    inherited = False
    for base in target.__mro__:
        init = vars(base).get("__init__")
        if not inspect.isfunction(init) or base.__module__.startswith("torch.nn."):
            continue
        try:
            hints = get_type_hints(init, include_extras=True)
        except Exception as error:  # any expression may stand in an annotation
            if not foreign:
                where = f"{base.__module__}.{base.__qualname__}.__init__"
                raise ConfigError(f"the annotations of {where} mean nothing ({error})") from None
            hints = {}
        parameters = list(inspect.signature(init).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind in _KEYWORDS and parameter.name not in seen:
                seen.add(parameter.name)
                hint = hints.get(parameter.name, parameter.empty)
                yield parameter.name, parameter, hint, inherited
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return
        inherited = True


def _type_of(default: Any) -> Any:
    """The type of an argument without annotation, by its default."""
    if isinstance(default, bool | tuple | Enum):
        return type(default)
    return Number if isinstance(default, int | float) else Any
