"""From a valid config to a plan: names looked up, sweeps spread, combinations checked."""

import itertools
from collections.abc import Set
from functools import partial, reduce
from operator import getitem
from typing import Any

from pydantic import ValidationError

from dmlbench import paths
from dmlbench.config import checks
from dmlbench.config.backbone_checks import found_weights, reduction_problems
from dmlbench.config.held_out import counts_left, counts_of_fold
from dmlbench.config.image_sizes import size_problems
from dmlbench.config.measure_checks import label_problems, measure_problems
from dmlbench.config.models import Benchmark, Choice, Experiment, Sampler
from dmlbench.config.nested_losses import recipe_refusals
from dmlbench.config.own_datasets import own_records
from dmlbench.config.plan import (
    METHOD_KEYS,
    NO_SAMPLER,
    RANDOM,
    REDUCED,
    SHUFFLED,
    UNTRAINED,
    Plan,
    Run,
    Swept,
)
from dmlbench.config.recipe import Recipe
from dmlbench.config.sections import Place
from dmlbench.config.vector_files import VectorFile, vector_problem, vectors_in
from dmlbench.errors import ConfigError
from dmlbench.files import checksum_of, local_path
from dmlbench.plugins.arguments import Argument, has_described, is_described
from dmlbench.plugins.class_paths import ClassSource, class_source
from dmlbench.plugins.entries import build_object, entries, entry
from dmlbench.plugins.messages import describe, nearest
from dmlbench.plugins.optimizers import optimizer_entry
from dmlbench.plugins.timm_names import check_pretraining

_PLURAL = {
    "recipe": "recipes", "loss": "losses", "sampler": "samplers", "dataset": "datasets",
    "features": "features",
}  # fmt: skip
_CHOICES = ("positive", "negative", "miner")
#: The sections that say what is projected.
_PROJECTED = {"projection", "selections", "evaluation", "seeds"}


def build_plan(benchmark: Benchmark, left_out: Set[Place] = frozenset()) -> tuple[Plan, list[str]]:
    """Look everything up that ``benchmark`` names.

    Returns the plan, and a line for each name that does not exist or combination that cannot be:
    then the plan is not whole. ``left_out`` of the config are mistakes that are told already.
    """
    builder = _Builder(benchmark, left_out)
    builder.check_entries()
    builder.check_experiments()
    # Whatever is wrong with some entries, what is made of the others is checked too.
    builder.plan_experiments()
    builder.plan_controls()
    return builder.plan, builder.problems


class _Builder:
    """Builds a plan in steps. The mistakes of a step are collected, to be told at once."""

    def __init__(self, benchmark: Benchmark, left_out: Set[Place]) -> None:
        self.benchmark, self.left_out = benchmark, left_out
        self.plan = Plan(benchmark)
        self.problems: list[str] = []
        self.given: dict[str, dict] = {
            "recipe": benchmark.recipes,
            "loss": benchmark.losses,
            "sampler": {NO_SAMPLER: Sampler(), **benchmark.samplers},
        }
        self.resolved: dict[str, dict[str, dict]] = {section: {} for section in METHOD_KEYS}
        self.vector_sizes: dict[str, VectorFile] = {}
        #: Sections and names of the entries that are wrong by themselves.
        self.wrong: set[tuple[str, str]] = set()

    def check_entries(self) -> None:
        """Check each entry of the config by itself."""
        self.problems += checks.data_problems(self.benchmark.data)
        for section in ("loss", "sampler", "recipe"):
            for name, given in self.given[section].items():
                before = len(self.problems)
                self.resolved[section][name] = self._resolve(given, f"{_PLURAL[section]}.{name}")
                if len(self.problems) > before:
                    self.wrong.add((section, name))
        if NO_SAMPLER in self.benchmark.samplers:
            self.problems.append(
                f"samplers.{NO_SAMPLER}: every config has this one (images shuffled, no tuples); "
                "take another name"
            )
        for name in self.benchmark.datasets:
            if problems := list(checks.own_problems(name, self.plan)):
                self.problems += problems
                self.wrong.add(("dataset", name))
        for name, features in self.benchmark.features.items():
            try:
                check_pretraining(features.pretraining)
            except ConfigError as error:
                self.problems.append(f"features.{name}.pretraining: {error}")
            file = local_path(features.file)
            if not file.is_file():
                self.problems.append(f"features.{name}.file: there is no file '{features.file}'")
                continue
            self.plan.vectors[name] = checksum_of(file)
            try:
                self.vector_sizes[name] = vectors_in(file)
            except ConfigError as error:
                self.problems.append(f"features.{name}.file: {error}")

    def _resolve(self, given: Recipe | Sampler | Choice, where: str) -> dict:
        """A recipe, a sampler or a loss as plain data, all defaults filled in."""
        if isinstance(given, Recipe):
            problems = list(checks.recipe_problems(given, self.benchmark.selections, where))
            self.problems += problems
            if "." in (path := given.optimizer.name) and not self.problems:
                self._note("optimizer", path, {}, class_source(optimizer_entry(path).cls))
            resolved = given.model_dump(mode="json")
            return resolved if problems else resolved | found_weights(given)
        if isinstance(given, Choice):
            return self._choice("loss", given, where)
        resolved: dict[str, Any] = {"per_class": given.per_class}
        for kind in _CHOICES:
            choice = getattr(given, kind)
            resolved[kind] = choice and self._choice(kind, choice, f"{where}.{kind}")
        return resolved

    def _choice(self, kind: str, choice: Choice, where: str) -> dict:
        """A choice with the descriptions inside it resolved too.

        A class that does not register itself keeps its own defaults: only what the config gives is
        resolved.
        """
        try:
            found = entry(kind, choice.type)
            source = found.source
        except ConfigError as error:
            self.problems.append(f"{where}: {error}")
            return {}
        self._note(kind, found.name, found.facts, source)
        arguments, options = found.arguments, choice.model_extra or {}
        if problems := [f"{where}.{problem}" for problem in arguments.problems(options)]:
            self.problems += problems
            return {}
        values = {} if found.foreign else arguments.defaults()
        values |= arguments.plain(options)
        for key, value in values.items():
            if has_described(value):
                argument = arguments.known[key]
                inner = kind if argument.keeps_description() else "object"
                values[key] = self._inside(inner, value, f"{where}.{key}", argument)
        return {"type": choice.type, **values}

    def _note(self, kind: str, name: str, facts: dict, source: ClassSource) -> None:
        """Store what jobs need to know of a class that they do not import."""
        self.plan.classes.setdefault(kind, {})[name] = {
            "facts": {k: v for k, v in facts.items() if isinstance(v, str | int | float)},
            "modules": list(source.modules),
            "package": source.package,
        }

    def _inside(self, kind: str, value: Any, where: str, wanted: Argument) -> Any:
        """A value of an option: descriptions of other classes, also listed, are resolved too."""
        if isinstance(value, list):
            return [
                self._inside(kind, each, f"{where}.{i}", wanted) for i, each in enumerate(value)
            ]
        if not is_described(value):
            return value
        made = self._choice(kind, Choice(**value), where)
        if made and (reason := wanted.refusal(entry(kind, value["type"]).cls)):
            self.problems.append(f"{where}: {reason}")
        return made

    def check_experiments(self) -> None:
        """Check the names that experiments and projection give."""
        for name, experiment in self.benchmark.experiments.items():
            where = f"experiments.{name}"
            if paths.is_taken(name):
                self.problems.append(f"{where}: another table has this name; take another one")
            self.problems += checks.published_problems(experiment, where)
            self._look_up(where, experiment)
        if not {place[0] for place in self.left_out} & _PROJECTED:
            self.problems += checks.projection_problems(self.benchmark)

    def plan_experiments(self) -> None:
        """Plan the methods of all experiments."""
        for name, experiment in self.benchmark.experiments.items():
            self.plan.methods[name] = self._methods(f"experiments.{name}", experiment)
        used = {each.dataset for each in self.benchmark.experiments.values()}
        if all(map(self._is_dataset, used)):
            facts = {dataset: self.plan.facts(dataset) for dataset in sorted(used)}
            self.problems += label_problems(self.benchmark.evaluation, facts)

    def _is_dataset(self, name: str) -> bool:
        """Whether the facts of a dataset can be had."""
        known = name in entries("dataset") or name in self.benchmark.datasets
        return known and ("dataset", name) not in self.wrong

    def _look_up(self, where: str, experiment: Experiment) -> None:
        """Note names of an experiment that stand for nothing."""
        lookups = [
            ("dataset", experiment.dataset, [*entries("dataset"), *self.benchmark.datasets]),
            ("recipe", experiment.recipe, self.given["recipe"]),
        ]
        for loss, sampler in experiment.combinations():
            lookups.append(("methods.loss", loss, self.given["loss"]))
            lookups.append(("methods.sampler", sampler, self.given["sampler"]))
        lookups += [("features", name, self.benchmark.features) for name in experiment.features]
        for key, value, valid in lookups:
            section = _PLURAL[key.removeprefix("methods.")]
            is_told = {(section,), (section, value)} & self.left_out
            if value not in valid and not is_told:
                hint = nearest(value, list(valid))
                self.problems.append(f"{where}.{key}: no such entry (got '{value}'){hint}")

    def _methods(self, where: str, experiment: Experiment) -> list[tuple[str, str, str]]:
        """The methods of an experiment, each checked."""
        before = len(self.problems)
        keys = [k for k in experiment.sweep if k.partition(".")[0] in METHOD_KEYS and "." in k]
        for key in sorted(set(experiment.sweep) - set(keys)):
            self.problems.append(
                f"{where}.sweep: key '{key}' must start with recipe., loss. or sampler."
            )
        if "recipe.base" in keys:
            self.problems.append(
                f"{where}.sweep: recipe.base cannot be swept; name a recipe for each base and list "
                "an experiment for each, or sweep other keys"
            )
        if experiment.recipe not in self.given["recipe"]:
            return []
        known = [pair for pair in experiment.combinations() if self._is_given(pair)]
        bases = [(experiment.recipe, *pair) for pair in known]
        used = {key for base in bases for key in zip(METHOD_KEYS, base, strict=True)}
        if len(self.problems) > before or used & self.wrong:
            keys = []  # each value would tell of the mistake again
        values = list(itertools.product(*(experiment.sweep[key] for key in keys)))
        methods = [
            self._method(base, dict(zip(keys, each, strict=True)), where)
            for base in bases
            for each in values
        ]
        if not methods:
            self._add("recipe", experiment.recipe, experiment.recipe, {}, where)
        if len(self.problems) == before and len(set(methods)) < len(methods):
            self.problems.append(f"{where}.methods: the same loss and sampler are listed twice")
        recipes = dict.fromkeys([method[0] for method in methods] or [experiment.recipe])
        for recipe in recipes if self._is_dataset(experiment.dataset) else ():
            if recipe in self.plan.recipes:
                self._on_dataset(experiment, recipe, where)
        for method in methods:
            self._combination(experiment.dataset, method, where)
        return methods

    def _is_given(self, pair: tuple[str, str]) -> bool:
        """Whether the config has this loss and this sampler."""
        return pair[0] in self.given["loss"] and pair[1] in self.given["sampler"]

    def _method(self, base: tuple[str, str, str], settings: dict, where: str) -> tuple:
        """The method that ``base`` becomes with swept ``settings``; its entries are planned."""
        names = dict(zip(METHOD_KEYS, base, strict=True))
        changes: dict[str, dict] = {section: {} for section in METHOD_KEYS}
        for key, value in settings.items():
            section, _, path = key.partition(".")
            changes[section][path] = value
            names[section] += f"_{path.split('.')[-1]}_{_slug(value)}"
        for section, original in zip(METHOD_KEYS, base, strict=True):
            self._add(section, original, names[section], changes[section], where)
        method = tuple(names.values())
        if settings:
            self.plan.swept[method] = Swept(base, settings)
        return method

    def _add(self, section: str, base: str, name: str, changes: dict, where: str) -> None:
        """Add the entry ``base`` with ``changes`` as ``name`` to the plan."""
        resolved = self.resolved[section][base]
        if changes:
            original = self.given[section][base]
            data = original.model_dump()
            try:
                for path, value in changes.items():
                    *outer, last = path.split(".")
                    reduce(getitem, outer, data)[last] = value
                changed = type(original).model_validate(data)
            except (KeyError, TypeError):  # no section on the way to the key
                self.problems.append(f"{where}.sweep: {section} '{base}' has no key '{path}'")
                return
            except ValidationError as error:
                lines = describe(error.errors(), type(original), section)
                self.problems += [f"{where}.sweep: {line}" for line in lines]
                return
            resolved = self._resolve(changed, f"{where}.sweep: {section}")
        planned = getattr(self.plan, _PLURAL[section])
        taken = changes and name in self.given[section]
        if taken or planned.setdefault(name, resolved) != resolved:
            self.problems.append(
                f"{where}.sweep: would make the {section} '{name}', a name that another entry has; "
                "rename that one"
            )

    def _on_dataset(self, experiment: Experiment, recipe: str, where: str) -> None:
        """Refuse what a recipe cannot do with the images of a dataset, whatever the method."""
        name, how, benchmark = experiment.dataset, self.plan.recipes[recipe], self.benchmark
        facts, mine = self.plan.facts(name), f"{where}: recipe '{recipe}'"
        self.problems += checks.fold_problems(name, facts.folds, how["test_fold"], where)
        own = benchmark.datasets.get(name)
        images = own and partial(own_records, name, own, facts)
        counts = facts.counts
        if "train" in benchmark.evaluation.splits:
            counts = counts_left(name, facts, images, how)
        counts = counts | counts_of_fold(facts, how["test_fold"])
        self.problems += measure_problems(benchmark.evaluation, name, facts, counts)
        if experiment.methods:
            kept = benchmark.selections
            self.problems += checks.selection_problems(name, facts, images, how, kept, mine)
        for vectors in experiment.features:
            held = self.vector_sizes.get(vectors)
            if held and (problem := vector_problem(held, name, facts)):
                self.problems.append(f"features.{vectors}.file: {problem}")
        read = experiment.methods or {"untrained", "pca"} & set(benchmark.controls)
        if read and ("recipe", recipe) not in self.wrong:
            self.problems += size_problems(name, facts, images, how, mine)

    def _combination(self, dataset: str, method: tuple[str, str, str], where: str) -> None:
        """Refuse what cannot be trained, with the reason."""
        recipe, loss, sampler = method
        entries_of = zip(METHOD_KEYS, method, strict=True)
        planned = (self.plan.recipes, self.plan.losses, self.plan.samplers)
        known = all(name in there for name, there in zip(method, planned, strict=True))
        wrong = self.wrong.intersection(entries_of)
        if not known or ("sampler", sampler) in wrong or not self._is_dataset(dataset):
            return
        facts, chosen = self.plan.facts(dataset), self.plan.samplers[sampler]
        how, costs = self.plan.recipes[recipe], self.plan.losses[loss]
        names = f"{where}: recipe '{recipe}' with sampler '{sampler}'"
        self.problems += checks.batch_problems(dataset, facts, how, chosen, names)
        if ("loss", loss) in wrong or not costs:
            return
        names = f"{where}: loss '{loss}' with sampler '{sampler}'"
        if problems := list(checks.method_problems(how, costs, chosen, names)):
            self.problems += problems
            return
        sizes = {"num_classes": facts.train_classes, "embedding_dim": how["embedding_dim"]}
        # The constructors are called once: they may refuse what their signatures allow.
        try:
            options = {k: v for k, v in costs.items() if k != "loss_lr"}
            made = build_object("loss", options, **sizes)
            self.problems += checks.rate_problems(how, costs, made, names)
            self.problems += recipe_refusals(made, how, dataset, facts, names)
            for kind in _CHOICES:
                build_object(kind, chosen[kind])
        except ConfigError as error:
            self.problems.append(f"{names}: {error}")

    def plan_controls(self) -> None:
        """Plan the controls of each experiment: of its first method, with the first seed."""
        plan, benchmark = self.plan, self.benchmark
        for name, experiment in benchmark.experiments.items():
            recipe, *first = next(iter(plan.methods[name]), (experiment.recipe,))
            if recipe not in plan.recipes or ("recipe", recipe) in self.wrong:
                continue
            shuffled, dataset, seed = f"{recipe}{SHUFFLED}", experiment.dataset, benchmark.seeds[0]
            methods = {
                "random": (recipe, RANDOM, NO_SAMPLER),
                "untrained": (recipe, UNTRAINED, NO_SAMPLER),
                "pca": (recipe, REDUCED, NO_SAMPLER),
            }
            methods |= {"shuffled": (shuffled, *first)} if first else {}
            measured = [Run.of_features(dataset, recipe, n, seed) for n in experiment.features]
            plan.controls[name] = {run.loss: run for run in measured}
            plan.controls[name] |= {
                kind: Run(dataset, *methods[kind], seed)
                for kind in benchmark.controls
                if kind in methods
            }
            if "pca" in benchmark.controls:
                where = f"controls: pca: recipe '{recipe}'"
                self.problems += reduction_problems(plan.recipes[recipe], where)
            if "shuffled" not in plan.controls[name]:
                continue
            made = {**plan.recipes[recipe], "labels": "shuffled"}
            if shuffled in benchmark.recipes or plan.recipes.setdefault(shuffled, made) != made:
                self.problems.append(
                    f"controls: shuffled would make the recipe '{shuffled}', a name that another "
                    "entry has; rename that one"
                )


def _slug(value: object) -> str:
    """A value as part of a name: 0.5 -> 0p5, -1 -> m1."""
    text = str(value).lower().replace("-", "m").replace(".", "p").replace("+", "")
    return "".join(c if c.isalnum() else "_" for c in text)
