"""Optimisers by name or class path: those of ``torch.optim`` and timm, or the user's own."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from dmlbench.errors import ConfigError
from dmlbench.plugins.arguments import Arguments
from dmlbench.plugins.class_paths import import_class, refuse_what_is_no, said
from dmlbench.plugins.messages import nearest

#: Arguments of constructors that a config cannot give: the parameters, and what is for training
#: loops of another kind.
_NOT_GIVEN = ("params", "capturable", "differentiable")
#: Keys of the section that are no arguments of a constructor.
_OF_THE_SECTION = ["name", "head_lr", "layer_decay"]


@dataclass(frozen=True)
class OptimizerEntry:
    """One optimiser that a config can name.

    ``defaults`` are the arguments that timm's name stands for, such as those of ``nadamw``.
    """

    name: str
    cls: type
    defaults: dict[str, Any]
    arguments: Arguments

    def problems(self, options: dict[str, Any]) -> Iterator[str]:
        """One line for each of ``options`` (lr, weight_decay and others) that is wrong."""
        known = self.arguments.known
        if "weight_decay" not in known and options["weight_decay"]:
            yield f"weight_decay: {self.name} has none; leave it out"
        unknown = [key for key in options if key not in known and key != "weight_decay"]
        for key in unknown:
            near = nearest(key, [*known, *_OF_THE_SECTION])
            yield f"{key}: unknown key (got {options[key]!r:.80}){near}"
        yield from self.arguments.problems({k: v for k, v in options.items() if k in known})

    def build(self, groups: list[dict[str, Any]], options: dict[str, Any]) -> Any:
        """The optimiser of ``groups`` of parameters; a ConfigError where it refuses ``options``."""
        known = self.arguments.known
        values = {key: known[key].value(v) for key, v in options.items() if key in known}
        try:
            return self.cls(groups, **{**self.defaults, **values})
        except Exception as error:  # whatever a constructor does
            raise ConfigError(f"{self.name} cannot be built: {said(error)}") from error


@cache
def optimizer_entry(name: str) -> OptimizerEntry:
    """The optimiser that a config calls ``name``: torch's, else timm's, or that of a class path.

    Raises:
        ConfigError: There is none, or no training here can use it.
    """
    import torch

    defaults: dict[str, Any] = {}
    if "." in name:
        cls = import_class(name)
    elif name in (known := _of_torch()):
        cls = known[name]
    else:
        cls, defaults = _of_timm(name)
    if not issubclass(cls, torch.optim.Optimizer):
        raise ConfigError(f"{name} is no optimiser: it does not derive from torch.optim.Optimizer")
    refuse_what_is_no("object", name, cls)
    if any(p.default is p.empty for p in list(inspect.signature(cls.step).parameters.values())[1:]):
        raise ConfigError(f"{name} is refused: it wants the loss several times in a step")
    arguments = Arguments.of(cls, foreign="optimizer")
    if not {"params", "lr"} <= set(arguments.known):
        raise ConfigError(f"{name} is refused: its constructor takes no params and lr")
    given = {key: each for key, each in arguments.known.items() if key not in _NOT_GIVEN}
    return OptimizerEntry(name, cls, defaults, Arguments(given, set()))


def _of_torch() -> dict[str, type]:
    """The optimisers of ``torch.optim`` by their names in lower case."""
    import torch

    base = torch.optim.Optimizer
    classes = [each for each in vars(torch.optim).values() if inspect.isclass(each)]
    return {c.__name__.lower(): c for c in classes if issubclass(c, base) and c is not base}


def _of_timm(name: str) -> tuple[type, dict[str, Any]]:
    """An optimiser of timm, and the arguments that its name stands for."""
    from timm import optim  # seconds to import

    known = optim.list_optimizers()
    if name not in known:
        near = nearest(name, [*_of_torch(), *known])
        raise ConfigError(f"no optimiser '{name}' in torch.optim or timm{near}")
    if optim.get_optimizer_info(name).second_order:
        raise ConfigError(f"{name} is refused: it wants second derivatives")
    try:
        found = optim.get_optimizer_class(name)
    except (ImportError, AssertionError) as error:  # of a package that is not here
        raise ConfigError(f"{name} cannot be had: {said(error)}") from error
    return (found.func, found.keywords) if isinstance(found, partial) else (found, {})


def optimizer_problems(spec: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a recipe's ``optimizer``, one line each.

    The constructor is called once: it may refuse what its signature allows. Those that need no
    look are not looked at, as that takes seconds.
    """
    name, options = spec["name"], optimizer_options(spec)
    if name in ("adam", "adamw", "sgd") and set(options) == {"lr", "weight_decay"}:
        return
    import torch

    try:
        found = optimizer_entry(name)
        if problems := list(found.problems(options)):
            yield from problems
        else:
            found.build([{"params": [torch.zeros(2, 2, requires_grad=True)]}], options)
    except ConfigError as error:
        yield f"name: {error}"


def optimizer_options(spec: dict[str, Any]) -> dict[str, Any]:
    """What of a recipe's ``optimizer`` goes to the constructor."""
    return {key: value for key, value in spec.items() if key not in _OF_THE_SECTION}
