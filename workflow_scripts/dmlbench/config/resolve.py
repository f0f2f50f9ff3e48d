"""Entries of a config with their classes looked up, defaults filled in and sweeps spread."""

import itertools
from typing import Any

from pydantic import ValidationError

from dmlbench.config.checks import recipe_problems
from dmlbench.config.models import Choice, Experiment, Sampler
from dmlbench.config.plan import Plan, Swept
from dmlbench.config.recipe import Recipe
from dmlbench.config.run import METHOD_KEYS, NO_SAMPLER
from dmlbench.errors import ConfigError
from dmlbench.plugins.arguments import Argument, has_described, is_described
from dmlbench.plugins.entries import entry
from dmlbench.plugins.messages import describe

_PLURAL = {"recipe": "recipes", "loss": "losses", "sampler": "samplers"}


class Resolver:
    """Adds entries to a plan and collects the mistakes on the way."""

    def __init__(self, plan: Plan) -> None:
        """Entries are added to ``plan``, and what is known of the classes that they name."""
        self.plan = plan
        self.problems: list[str] = []
        self.entries: dict[str, dict] = {
            "recipe": plan.benchmark.recipes,
            "loss": plan.benchmark.losses,
            "sampler": {NO_SAMPLER: Sampler(), **plan.benchmark.samplers},
        }

    def resolve(self, given: Recipe | Sampler | Choice, where: str, kind: str = "loss") -> dict:
        """A recipe, a sampler or a choice of a ``kind`` as plain data, all defaults filled in."""
        if isinstance(given, Recipe):
            self.problems += recipe_problems(given, self.plan.benchmark.selections, where)
            return given.model_dump(mode="json")
        if isinstance(given, Sampler):
            choices = {kind: getattr(given, kind) for kind in ("positive", "negative", "miner")}
            return {"per_class": given.per_class} | {
                kind: choice and self.resolve(choice, f"{where}.{kind}", kind)
                for kind, choice in choices.items()
            }
        return self._choice(kind, given, where)

    def _choice(self, kind: str, choice: Choice, where: str) -> dict:
        """A choice with the descriptions inside it resolved too.

        Of a class that does not register itself only the given arguments are kept; its own
        defaults hold for the others.
        """
        try:
            found = entry(kind, choice.type)
            source = found.source
        except ConfigError as error:
            self.problems.append(f"{where}: {error}")
            return {}
        # What jobs need to know of a class that they do not import.
        self.plan.classes.setdefault(kind, {})[found.name] = {
            "facts": {k: v for k, v in found.facts.items() if isinstance(v, str | int | float)},
            "modules": list(source.modules),
            "package": source.package,
        }
        given, arguments = choice.options, found.arguments
        if problems := [f"{where}.{problem}" for problem in arguments.problems(given)]:
            self.problems += problems
            return {}
        values = ({} if found.foreign else arguments.defaults()) | arguments.plain(given)
        for key, value in values.items():
            if has_described(value) and arguments.keeps_description(key):
                values[key] = self._inside(kind, value, f"{where}.{key}")
            elif has_described(value):
                wanted = arguments.known.get(key)
                values[key] = self._inside("object", value, f"{where}.{key}", wanted)
        return {"type": choice.type, **values}

    def _inside(self, kind: str, value: Any, where: str, wanted: Argument | None = None) -> Any:
        """A value of an option: descriptions of other classes, also listed, are resolved too."""
        if isinstance(value, list):
            return [
                self._inside(kind, each, f"{where}.{i}", wanted) for i, each in enumerate(value)
            ]
        if not is_described(value):
            return value
        made = self._choice(kind, Choice(**value), where)
        if made and wanted and (reason := wanted.refusal(entry(kind, value["type"]).cls)):
            self.problems.append(f"{where}: {reason}")
        return made

    def spread(
        self, experiment: Experiment, pair: tuple[str, str], where: str
    ) -> list[tuple[str, str, str]]:
        """The methods that one (loss, sampler) pair becomes under the experiment's sweep.

        The entries that they use are added to the plan: as the config has them, or swept.
        """
        base = dict(zip(METHOD_KEYS, (experiment.recipe, *pair), strict=True))
        keys = [k for k in experiment.sweep if k.partition(".")[0] in METHOD_KEYS and "." in k]
        for key in sorted(set(experiment.sweep) - set(keys)):
            self.problems.append(
                f"{where}.sweep: key '{key}' must start with recipe., loss. or sampler."
            )
        methods = []
        for values in itertools.product(*(experiment.sweep[k] for k in keys)):
            settings = dict(zip(keys, values, strict=True))
            names, changes = dict(base), {section: {} for section in METHOD_KEYS}
            for key, value in settings.items():
                section, _, path = key.partition(".")
                changes[section][path] = value
                names[section] += f"_{path.split('.')[-1]}_{_slug(value)}"
            for section in METHOD_KEYS:
                self._add(section, base[section], names[section], changes[section], where)
            method = tuple(names.values())
            if keys:
                self.plan.swept[method] = Swept(tuple(base.values()), settings)
            methods.append(method)
        return methods

    def _add(self, section: str, base: str, name: str, changes: dict, where: str) -> None:
        """Add the entry ``base`` with ``changes`` as ``name`` to the plan."""
        original: Recipe | Choice | Sampler = self.entries[section][base]
        data = original.model_dump()
        for path, value in changes.items():
            if not _set(data, path.split("."), value):
                self.problems.append(f"{where}.sweep: {section} '{base}' has no key '{path}'")
                return
        try:
            changed = type(original).model_validate(data)
        except ValidationError as error:
            lines = [describe(e, type(original)) for e in error.errors()]
            self.problems += [f"{where}.sweep: {section}.{line}" for line in lines]
            return
        resolved = self.resolve(changed, f"{where}.sweep: {section}")
        taken = changes and name in getattr(self.plan.benchmark, _PLURAL[section])
        known = getattr(self.plan, _PLURAL[section])
        if taken or known.setdefault(name, resolved) != resolved:
            self.problems.append(
                f"{where}.sweep: would make the {section} '{name}', a name that another entry has; "
                "rename that one"
            )


def _slug(value: object) -> str:
    """A value as part of a name: 0.5 -> 0p5, -1 -> m1."""
    text = str(value).lower().replace("-", "m").replace(".", "p").replace("+", "")
    return "".join(c if c.isalnum() else "_" for c in text)


def _set(data: dict, path: list[str], value: object) -> bool:
    """Set a nested key; False where the way to it does not exist."""
    for part in path[:-1]:
        data = data.get(part)
        if not isinstance(data, dict):
            return False
    data[path[-1]] = value
    return True
