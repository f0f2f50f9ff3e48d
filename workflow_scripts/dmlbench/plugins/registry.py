"""Registering classes by name: one file of a room, nothing else to edit."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import NamedTuple

from dmlbench.errors import ConfigError
from dmlbench.plugins.class_paths import said


class Registration(NamedTuple):
    """What the decorator above a class says: its kind, such as loss, and the other facts."""

    kind: str
    facts: dict


class Registry:
    """The registered classes of one kind, found in the modules of one package."""

    def __init__(self, kind: str, package: str, **required: tuple[str, ...]) -> None:
        """The decorator must state each fact of ``required``, with one of the values there."""
        self.kind = kind
        self.package = package
        self._required = required
        self.known: dict[str, type] = {}

    def register(self, name: str, /, **facts: object) -> Callable[[type], type]:
        """A class decorator: register the class as ``name``, set ``facts`` as class attributes."""
        said = f"register_{self.kind}"
        if not isinstance(name, str):
            raise ConfigError(f"@{said} needs a name in parentheses: @{said}('my_name')")
        for key, valid in self._required.items():
            if facts.get(key) not in valid:
                raise ConfigError(f"@{said}('{name}') must say {key}=, one of {', '.join(valid)}")

        def decorate(cls: type) -> type:
            for key, value in facts.items():
                setattr(cls, key, value)
            cls.registration = Registration(self.kind, facts)  # type: ignore[attr-defined]
            # A class of the user's own module is named by its path and needs no entry.
            if cls.__module__.startswith(f"{self.package}."):
                other = self.known.get(name, cls)
                if (other.__module__, other.__name__) != (cls.__module__, cls.__name__):
                    raise ConfigError(
                        f"{self.kind} '{name}' is registered twice: in {other.__module__} and in "
                        f"{cls.__module__}; rename one"
                    )
                self.known[name] = cls
            return cls

        return decorate

    def get(self, name: str) -> type:
        """The class registered as ``name``; a ConfigError where there is none."""
        if name not in (known := self.classes()):
            raise ConfigError(f"no {self.kind} '{name}'; there are {list(known)}")
        return known[name]

    def classes(self) -> dict[str, type]:
        """All registered classes by name, sorted; imports the modules of the package."""
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            try:
                importlib.import_module(f"{self.package}.{module.name}")
            except Exception as error:  # a file that the user has added may raise any of them
                raise ConfigError(f"{self.package}.{module.name}: {said(error)}") from error
        return dict(sorted(self.known.items()))


REGISTRIES = {
    "loss": Registry("loss", "dmlbench.losses", takes=("tuples", "batch", "inner")),
    "positive": Registry("positive", "dmlbench.samplers", chooses=("one", "set")),
    "negative": Registry("negative", "dmlbench.samplers", chooses=("one", "set")),
    "dataset": Registry("dataset", "dmlbench.data.datasets"),
    "metric": Registry("metric", "dmlbench.evaluation.metrics"),
}
