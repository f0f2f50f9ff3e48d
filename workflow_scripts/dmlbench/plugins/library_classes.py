"""What a class named by its path is, and where it must not be named."""

import dis
import inspect
import sys
from collections.abc import Callable

from dmlbench.errors import ConfigError

_LIBRARY = "pytorch_metric_learning"
#: Where pytorch-metric-learning keeps what a loss or a miner may be.
_FAMILIES = {"loss": "losses", "miner": "miners"}
#: The family of the class that its constructors take under these names.
_ARGUMENTS = {
    "distance": "distances",
    "reducer": "reducers",
    "embedding_regularizer": "regularizers",
    "weight_regularizer": "regularizers",
    "loss": "losses",
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


def refuse_known_wrong(path: str, cls: type) -> None:
    """Raises ConfigError for a class of :data:`REFUSED`."""
    if reason := REFUSED.get(f"{cls.__module__}.{cls.__name__}"):
        raise ConfigError(f"{path} is refused: {reason}")


def refuse_other_kinds(kind: str, path: str, cls: type) -> None:
    """Refuse a distance, a reducer or a base class in the place of a loss or a miner, say.

    Args:
        kind: loss or miner.
        path: What the config calls the class.
        cls: The class.

    Raises:
        ConfigError: It is no ``kind``, with the reason.
    """
    family, top = family_of(cls.__module__), cls.__module__.partition(".")[0]
    if family and family != _FAMILIES[kind]:
        raise ConfigError(f"{path} is no {kind}: it is among the library's {family}")
    if top == "torch" or top in sys.stdlib_module_names:
        raise ConfigError(f"{path} is no {kind}: no class of Python or PyTorch takes labels so")
    forward = method(cls, "forward") or method(cls, "__call__")
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
    compute = method(cls, "compute_loss")
    # What pytorch-metric-learning's losses call to refuse tuples.
    refuses = compute and "indices_tuple_not_supported" in compute.__code__.co_names
    arguments = _positional(method(cls, "forward") or method(cls, "__call__"))
    if refuses or (arguments is not None and len(arguments) < 3):
        return "batch"
    required = [p for p in arguments or [] if p.default is p.empty]
    return "tuples" if len(required) > 2 else "any"


def method(cls: type, name: str) -> Callable | None:
    """A method of a class, its own or inherited; those of PyTorch's base classes do not count."""
    for base in cls.__mro__:
        if base.__module__.startswith("torch."):
            continue
        if inspect.isfunction(found := vars(base).get(name)):
            return found
    return None


def wanted_family(module: str, argument: str) -> str:
    """The family of the class that an argument of one of the library's classes stands for.

    Empty where anything is valid, as under most names, and for classes outside the library.
    """
    return _ARGUMENTS.get(argument, "") if family_of(module) else ""


def family_of(path: str) -> str:
    """The part of pytorch-metric-learning that a dotted name belongs to; empty outside it."""
    library, _, rest = path.partition(".")
    return rest.partition(".")[0] if library == _LIBRARY else ""


def _positional(function: Callable | None) -> list[inspect.Parameter] | None:
    """A method's positional parameters after self; None if it takes any number of them."""
    if function is None:
        return None
    parameters = list(inspect.signature(function).parameters.values())[1:]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _is_left_to_others(value: object) -> bool:
    """Whether an attribute of a class is a method that its subclasses have to write."""
    if getattr(value, "__isabstractmethod__", False):
        return True
    if not inspect.isfunction(value) or "NotImplementedError" not in value.__code__.co_names:
        return False
    return not any(step.opname.startswith("RETURN") for step in dis.get_instructions(value))
