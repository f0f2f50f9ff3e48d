"""Sweeps: a list of values under an experiment, each of which becomes an entry with a name."""

import itertools

from pydantic import ValidationError

from dmlbench.config.checks import recipe_problems
from dmlbench.config.choices import Choices
from dmlbench.config.models import Choice, Experiment, Sampler
from dmlbench.config.plan import Plan, Swept
from dmlbench.config.recipe import Recipe
from dmlbench.config.run import METHOD_KEYS
from dmlbench.plugins.messages import describe

_PLURAL = {"recipe": "recipes", "loss": "losses", "sampler": "samplers"}


class Sweeps:
    """Adds to a plan the entries that its methods use: as the config has them, or swept."""

    def __init__(self, plan: Plan, choices: Choices, samplers: dict[str, Sampler]) -> None:
        """Entries are added to ``plan``; mistakes to those of ``choices``."""
        self.plan = plan
        self.choices = choices
        self.problems = choices.problems
        self.entries = {
            "recipe": plan.benchmark.recipes,
            "loss": plan.benchmark.losses,
            "sampler": samplers,
        }

    def spread(
        self, experiment: Experiment, pair: tuple[str, str], where: str
    ) -> list[tuple[str, str, str]]:
        """The methods that one (loss, sampler) pair becomes under the experiment's sweep."""
        base = dict(zip(METHOD_KEYS, (experiment.recipe, *pair), strict=True))
        keys = [k for k in experiment.sweep if k.partition(".")[0] in METHOD_KEYS and "." in k]
        for key in sorted(set(experiment.sweep) - set(keys)):
            self.problems.append(
                f"{where}.sweep: key '{key}' must start with recipe., loss. or sampler."
            )
        methods = []
        for values in itertools.product(*(experiment.sweep[k] for k in keys)):
            names, changes = dict(base), {section: {} for section in METHOD_KEYS}
            for key, value in zip(keys, values, strict=True):
                section, _, path = key.partition(".")
                changes[section][path] = value
                names[section] += f"_{path.split('.')[-1]}_{_slug(value)}"
            for section in METHOD_KEYS:
                self._entry(section, base[section], names[section], changes[section], where)
            method = tuple(names[section] for section in METHOD_KEYS)
            if keys:
                settings = dict(zip(keys, values, strict=True))
                self.plan.swept[method] = Swept(tuple(base.values()), settings)
            methods.append(method)
        return methods

    def _entry(self, section: str, base: str, name: str, changes: dict, where: str) -> None:
        """Add the entry ``base`` with ``changes`` as ``name`` to the plan."""
        original: Recipe | Choice | Sampler = self.entries[section][base]
        data = original.model_dump()
        for path, value in changes.items():
            if not _set(data, path.split("."), value):
                self.problems.append(f"{where}.sweep: {section} '{base}' has no key '{path}'")
                return
        try:
            entry = type(original).model_validate(data)
        except ValidationError as error:
            lines = [describe(e, type(original)) for e in error.errors()]
            self.problems += [f"{where}.sweep: {section}.{line}" for line in lines]
            return
        resolved = self._resolved(entry, f"{where}.sweep: {section}")
        taken = changes and name in getattr(self.plan.benchmark, _PLURAL[section])
        known = getattr(self.plan, _PLURAL[section])
        if taken or known.setdefault(name, resolved) != resolved:
            self.problems.append(
                f"{where}.sweep: would make the {section} '{name}', a name that another entry has; "
                "rename that one"
            )

    def _resolved(self, entry: Recipe | Choice | Sampler, where: str) -> dict:
        """An entry as plain data, all defaults filled in."""
        if isinstance(entry, Sampler):
            return self.choices.sampler(entry, where)
        if isinstance(entry, Choice):
            return self.choices.resolve("loss", entry, where)
        self.problems += recipe_problems(entry, self.plan.benchmark.selections, where)
        return entry.model_dump(mode="json")


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
