"""What a class is that does not register itself, and which of them a config may not name."""

import dis
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from dmlbench.errors import ConfigError

_LIBRARY = "pytorch_metric_learning"
#: Where pytorch-metric-learning keeps what a loss or a miner may be.
_FAMILIES = {"loss": "losses", "miner": "miners"}
#: What its constructors take under these names: they have no annotations.
_ARGUMENTS = {
    "distance": f"{_LIBRARY}.distances.BaseDistance",
    "reducer": f"{_LIBRARY}.reducers.BaseReducer",
    "embedding_regularizer": f"{_LIBRARY}.regularizers.BaseRegularizer",
    "weight_regularizer": f"{_LIBRARY}.regularizers.BaseRegularizer",
    "loss": "torch.nn.Module",
}
_TWO_VIEWS = "it compares two views of each image, and a batch here has one"
#: Classes that a config may not name, each with the reason.
REFUSED = {
    "pytorch_metric_learning.losses.dynamic_soft_margin_loss.DynamicSoftMarginLoss": (
        "in pytorch-metric-learning 2.9.0 its second step goes backward through the first one's "
        "graph, which is gone"
    ),
    "pytorch_metric_learning.losses.manifold_loss.ManifoldLoss": "it takes no labels",
    "pytorch_metric_learning.losses.self_supervised_loss.SelfSupervisedLoss": _TWO_VIEWS,
    "pytorch_metric_learning.losses.vicreg_loss.VICRegLoss": _TWO_VIEWS,
    "pytorch_metric_learning.losses.smooth_ap.SmoothAPLoss": (
        "in pytorch-metric-learning 2.9.0 it cuts the batch into blocks of the wrong size unless "
        "there are as many classes as images per class, and ignores labels that are not sorted "
        "(8 perfectly separated classes of 4 images cost 0.32 instead of 0)"
    ),
}


def refuse_what_is_no(kind: str, path: str, cls: type) -> None:
    """Refuse a distance, a reducer or a base class in the place of a loss or a miner, say.

    Args:
        kind: loss, miner, or ``object``, which may be anything but one of :data:`REFUSED`.
        path: What the config calls the class.
        cls: The class.

    Raises:
        ConfigError: It is no ``kind``, with the reason.
    """
    if reason := REFUSED.get(f"{cls.__module__}.{cls.__name__}"):
        raise ConfigError(f"{path} is refused: {reason}")
    if kind == "object":
        return
    top, family = [*cls.__module__.split("."), ""][:2]
    if top == _LIBRARY and family != _FAMILIES[kind]:
        raise ConfigError(f"{path} is no {kind}: it is among the library's {family}")
    if top == "torch" or top in sys.stdlib_module_names:
        raise ConfigError(f"{path} is no {kind}: no class of Python or PyTorch takes labels so")
    forward = _forward(cls)
    if forward is None:
        raise ConfigError(f"{path} is no {kind}: it has no forward")
    arguments = _positional(forward)
    if arguments is not None and len(arguments) < 2:
        names = ", ".join(p.name for p in arguments)
        raise ConfigError(
            f"{path} is no {kind}: its forward takes ({names}), not embeddings and labels"
        )
    if missing := next((n for n, value in vars(cls).items() if _is_left_to_others(value)), None):
        raise ConfigError(f"{path} is a base class: what derives from it has to write {missing}")


def takes_of(cls: type) -> str:
    """Whether a loss of a library must be given ``tuples``, takes a ``batch`` only, or ``any``."""
    compute = _method(cls, "compute_loss")
    # What pytorch-metric-learning's losses call to refuse tuples.
    refuses = compute and "indices_tuple_not_supported" in compute.__code__.co_names
    arguments = _positional(_forward(cls))
    if refuses or (arguments is not None and len(arguments) < 3):
        return "batch"
    required = [p for p in arguments or [] if p.default is p.empty]
    return "tuples" if len(required) > 2 else "any"


def wanted_class(module: str, argument: str) -> Any:
    """What an argument of a class of ``module`` stands for, where pytorch-metric-learning says so.

    Any under most names, and outside that library.
    """
    if argument not in _ARGUMENTS or module.partition(".")[0] != _LIBRARY:
        return Any
    wanted, _, name = _ARGUMENTS[argument].rpartition(".")
    return getattr(importlib.import_module(wanted), name)


def _forward(cls: type) -> Callable | None:
    return _method(cls, "forward") or _method(cls, "__call__")


def _method(cls: type, name: str) -> Callable | None:
    """A method of a class, its own or inherited; those of PyTorch's base classes do not count."""
    bases = [base for base in cls.__mro__ if not base.__module__.startswith("torch.")]
    methods = (vars(base).get(name) for base in bases)
    return next(filter(inspect.isfunction, methods), None)


def _positional(function: Callable | None) -> list[inspect.Parameter] | None:
    """A method's positional parameters after self; None if it takes any number of them."""
    parameters = list(inspect.signature(function).parameters.values())[1:] if function else []
    if function is None or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _is_left_to_others(value: object) -> bool:
    """Whether an attribute of a class is a method that its subclasses have to write."""
    if getattr(value, "__isabstractmethod__", False):
        return True
    if not inspect.isfunction(value) or "NotImplementedError" not in value.__code__.co_names:
        return False
    return not any(step.opname.startswith("RETURN") for step in dis.get_instructions(value))
