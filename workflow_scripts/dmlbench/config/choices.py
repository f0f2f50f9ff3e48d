"""Choices looked up: names and class paths with their options checked and filled in."""

from typing import Any

from pydantic import ValidationError

from dmlbench.config.models import Choice, Sampler
from dmlbench.errors import ConfigError
from dmlbench.plugins import catalogue
from dmlbench.plugins.messages import describe

#: The sampler that every config has: images shuffled, no tuples chosen.
NO_SAMPLER = "none"


class Choices:
    """Resolves choices and collects the mistakes on the way."""

    def __init__(self, problems: list[str]) -> None:
        """Mistakes are added to ``problems``."""
        self.problems = problems

    def resolve(self, kind: str, choice: Choice, where: str) -> dict:
        """The choice as a dict: defaults filled in, descriptions inside it resolved too.

        Of a class that does not register itself only the given arguments are kept; its own
        defaults hold for the others.
        """
        try:
            entry = catalogue.entry(kind, choice.type)
            options = entry.options.model_validate(choice.options)
        except ConfigError as error:
            self.problems.append(f"{where}: {error}")
            return {}
        except ValidationError as error:
            self.problems += [f"{where}.{describe(e, entry.options)}" for e in error.errors()]
            return {}
        values = options.model_dump(exclude_unset=entry.foreign)
        inner = "object" if entry.foreign else kind
        resolved = {key: self._inside(inner, v, f"{where}.{key}") for key, v in values.items()}
        return {"type": choice.type, **resolved}

    def _inside(self, kind: str, value: Any, where: str) -> Any:
        """A value of an option: descriptions of other classes, also listed, are resolved too."""
        if isinstance(value, list):
            return [self._inside(kind, item, f"{where}.{i}") for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if not isinstance(value.get("type"), str):
            self.problems.append(f"{where}.type: this key is missing (a class, described)")
            return {}
        return self.resolve(kind, Choice(**value), where)

    def sampler(self, sampler: Sampler, where: str) -> dict:
        """A sampler as a dict; None where it has no choice."""
        resolved: dict = {"per_class": sampler.per_class}
        for kind in ("positive", "negative", "miner"):
            choice = getattr(sampler, kind)
            resolved[kind] = choice and self.resolve(kind, choice, f"{where}.{kind}")
        return resolved
