"""What a class named by its path must not be in the place where it is named."""

import ast
import sysconfig
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from dmlbench.errors import ConfigError
from dmlbench.plugins.class_path import Source, lacks, method_arguments

_LIBRARY = "pytorch_metric_learning"
#: Where the library keeps what a loss or a miner may be.
_FAMILIES = {"loss": "losses", "miner": "miners"}
#: And what its classes take under these names.
_ARGUMENTS = {
    "distance": "distances",
    "reducer": "reducers",
    "embedding_regularizer": "regularizers",
    "weight_regularizer": "regularizers",
    "loss": "losses",
}


def refuse_other_kinds(kind: str, path: str, source: Source) -> None:
    """A distance, a reducer or a base class in the place of a loss or a miner, say.

    Args:
        kind: loss or miner.
        path: What the config calls the class.
        source: Where it is written.

    Raises:
        ConfigError: It is no ``kind``, with the reason.
    """
    family = _family(source.module)
    if family and family != _FAMILIES[kind]:
        raise ConfigError(f"{path} is no {kind}: it is among the library's {family}")
    if source.module.startswith("torch.") or _in_standard_library(source):
        raise ConfigError(f"{path} is no {kind}: no class of Python or PyTorch takes labels so")
    if lacks(source, "forward") and lacks(source, "__call__"):
        raise ConfigError(f"{path} is no {kind}: it has no forward")
    arguments = method_arguments(source, "forward")
    if arguments is not None and len(arguments) < 2:
        raise ConfigError(
            f"{path} is no {kind}: its forward takes ({', '.join(arguments)}), not embeddings and "
            "labels"
        )
    if missing := next((n.name for n in source.node.body if _not_implemented(n)), None):
        raise ConfigError(f"{path} is a base class: what derives from it has to write {missing}")


def described_argument(module: str, argument: str) -> Any:
    """The type of a constructor argument whose default tells nothing.

    In the library some names stand for a class of one family, described with its ``type``; anything
    is valid under others, and outside the library.
    """
    wanted = _ARGUMENTS.get(argument)
    if not _family(module) or wanted is None:
        return Any

    def check(value: Any) -> Any:
        if value is None:
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"should describe a class: {{type: {_LIBRARY}.{wanted}...}}")
        found = _family(str(value.get("type")))
        if found and found != wanted:
            raise ValueError(f"should be among the library's {wanted}, not its {found}")
        return value

    return Annotated[Any, BeforeValidator(check)]


def _family(module: str) -> str:
    """The part of the library that a dotted name belongs to; nothing outside the library."""
    library, _, rest = module.partition(".")
    return rest.partition(".")[0] if library == _LIBRARY else ""


def _in_standard_library(source: Source) -> bool:
    inside = source.file.is_relative_to(sysconfig.get_path("stdlib"))
    return inside and "site-packages" not in source.file.parts


def _not_implemented(node: ast.stmt) -> bool:
    """Whether a statement of a class is a method left to its subclasses."""
    if not isinstance(node, ast.FunctionDef):
        return False
    abstract = any(ast.unparse(d).endswith("abstractmethod") for d in node.decorator_list)
    last = node.body[-1]
    return abstract or (
        isinstance(last, ast.Raise)
        and last.exc is not None
        and "NotImplementedError" in ast.unparse(last.exc)
        and not any(isinstance(n, ast.Return) for n in ast.walk(node))
    )
