"""Registering classes by name: one file of a room, nothing else to edit."""

import importlib
import pkgutil
from collections.abc import Callable

from dmlbench.errors import ConfigError
from dmlbench.plugins.class_path import is_class_path
from dmlbench.plugins.objects import construct, import_class


class Registry:
    """The registered classes of one kind, found in the modules of one package."""

    def __init__(self, kind: str, package: str) -> None:
        """``kind`` is for messages; the modules of ``package`` hold the classes."""
        self.kind = kind
        self.package = package
        self._classes: dict[str, type] = {}

    def register(self, name: str, /, **facts: object) -> Callable[[type], type]:
        """A class decorator: register it as ``name`` and set ``facts`` as class attributes.

        The config reads name and facts from the source, so both must be literals.
        """

        def decorate(cls: type) -> type:
            for key, value in facts.items():
                setattr(cls, key, value)
            # A class of the user's own module is named by its path and needs no entry.
            if cls.__module__.startswith(f"{self.package}."):
                self._classes[name] = cls
            return cls

        return decorate

    def get(self, name: str) -> type:
        """The class registered as ``name``, or the class at that path.

        Raises:
            ConfigError: There is none.
        """
        if is_class_path(name):
            return import_class(name)
        if name not in self.names():
            raise ConfigError(f"no {self.kind} '{name}'; there are {self.names()}")
        return self._classes[name]

    def build(self, name: str, **options: object) -> object:
        """The class :meth:`get` gives, called with ``options``.

        Raises:
            ConfigError: There is none, or a class named by its path refuses its arguments.
        """
        return construct(name, **options) if is_class_path(name) else self.get(name)(**options)

    def names(self) -> list[str]:
        """All registered names."""
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        return sorted(self._classes)
