"""Choices looked up: names and class paths with their options checked and filled in."""

from typing import Any

from dmlbench.config.models import Choice, Sampler
from dmlbench.errors import ConfigError
from dmlbench.plugins.arguments import Argument, has_described, is_described
from dmlbench.plugins.class_sources import class_source
from dmlbench.plugins.entries import Entry, entry

#: The sampler that every config has: images shuffled, no tuples chosen.
NO_SAMPLER = "none"


class Choices:
    """Resolves choices and collects the mistakes on the way."""

    def __init__(self, problems: list[str], classes: dict[str, dict[str, dict]]) -> None:
        """Mistakes are added to ``problems``, and what is known of classes to ``classes``."""
        self.problems = problems
        self.classes = classes

    def resolve(self, kind: str, choice: Choice, where: str) -> dict:
        """The choice as a dict: defaults filled in, descriptions inside it resolved too.

        Of a class that does not register itself only the given arguments are kept; its own
        defaults hold for the others.
        """
        try:
            found = entry(kind, choice.type)
        except ConfigError as error:
            self.problems.append(f"{where}: {error}")
            return {}
        self._remember(kind, found)
        given, arguments = choice.options, found.arguments
        if problems := [f"{where}.{problem}" for problem in arguments.problems(given)]:
            self.problems += problems
            return {}
        values = ({} if found.foreign else arguments.defaults()) | arguments.plain(given)
        for key, value in values.items():
            if has_described(value):
                inner = kind if arguments.keeps_description(key) else "object"
                values[key] = self._inside(inner, value, f"{where}.{key}")
                if inner == "object" and key in arguments.known:
                    self._refuse(arguments.known[key], value, f"{where}.{key}")
        return {"type": choice.type, **values}

    def _refuse(self, argument: Argument, value: Any, where: str) -> None:
        """Note described objects, also listed, that are not what an annotation asks for."""
        for item in value if isinstance(value, list) else [value]:
            known = is_described(item) and item["type"] in self.classes.get("object", {})
            if known and (reason := argument.refusal(entry("object", item["type"]).cls)):
                self.problems.append(f"{where}: {reason}")

    def _remember(self, kind: str, found: Entry) -> None:
        """Keep what jobs need to know of a class that they do not import."""
        source = class_source(kind, found.name)
        plain = {k: v for k, v in found.facts.items() if isinstance(v, str | int | float)}
        self.classes.setdefault(kind, {})[found.name] = {
            "facts": plain,
            "modules": list(source.modules),
            "package": source.package,
        }

    def _inside(self, kind: str, value: Any, where: str) -> Any:
        """A value of an option: descriptions of other classes, also listed, are resolved too."""
        if isinstance(value, list):
            return [self._inside(kind, item, f"{where}.{i}") for i, item in enumerate(value)]
        return self.resolve(kind, Choice(**value), where) if is_described(value) else value

    def sampler(self, sampler: Sampler, where: str) -> dict:
        """A sampler as a dict; None where it has no choice."""
        resolved: dict = {"per_class": sampler.per_class}
        for kind in ("positive", "negative", "miner"):
            choice = getattr(sampler, kind)
            resolved[kind] = choice and self.resolve(kind, choice, f"{where}.{kind}")
        return resolved
