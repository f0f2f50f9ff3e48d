"""From a valid config to a plan: names looked up, sweeps spread, combinations checked."""

import json

from dmlbench import paths
from dmlbench.config import checks
from dmlbench.config.models import Benchmark, Experiment
from dmlbench.config.plan import SHUFFLED, Plan
from dmlbench.config.resolve import Resolver
from dmlbench.config.run import NO_SAMPLER, RANDOM, UNTRAINED, Run
from dmlbench.errors import ConfigError
from dmlbench.plugins.entries import build_object, entries
from dmlbench.plugins.messages import nearest


def build_plan(benchmark: Benchmark, source: str) -> Plan:
    """Look everything up that ``benchmark`` names.

    Args:
        benchmark: The validated config.
        source: Where it came from, for messages.

    Raises:
        ConfigError: One line for each name that does not exist or combination that cannot be.
    """
    builder = _Builder(benchmark)
    for step in (builder.entries, builder.experiments, builder.controls):
        step()
        if builder.problems:
            lines = dict.fromkeys(f"{source}: {problem}" for problem in builder.problems)
            raise ConfigError("\n".join(lines))
    return builder.plan


class _Builder:
    """Builds a plan in steps. The mistakes of a step are collected, to be told at once."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        self.plan = Plan(benchmark)
        self.resolver = Resolver(self.plan)
        self.problems = self.resolver.problems
        self.built: set[str] = set()

    def entries(self) -> None:
        """Check each entry of the config by itself."""
        benchmark = self.benchmark
        self.problems += checks.data_problems(benchmark.data)
        for section in ("losses", "samplers", "recipes"):
            for name, given in getattr(benchmark, section).items():
                self.resolver.resolve(given, f"{section}.{name}")
        if NO_SAMPLER in benchmark.samplers:
            self.problems.append(
                f"samplers.{NO_SAMPLER}: every config has this one (images shuffled, no tuples); "
                "take another name"
            )
        for name, folder in benchmark.datasets.items():
            self.problems += checks.folder_problems(name, folder)

    def experiments(self) -> None:
        """Plan the methods of all experiments."""
        for name, experiment in self.benchmark.experiments.items():
            before = len(self.problems)
            self._look_up(f"experiments.{name}", name, experiment)
            if len(self.problems) == before:
                self.plan.methods[name] = self._methods(f"experiments.{name}", experiment)
        self.problems += checks.projection_problems(self.benchmark)

    def _look_up(self, where: str, name: str, experiment: Experiment) -> None:
        """Note names of an experiment that stand for nothing."""
        if paths.is_taken(name):
            self.problems.append(f"{where}: another table has this name; take another one")
        self.problems += checks.published_problems(experiment, where)
        known = {section: list(found) for section, found in self.resolver.entries.items()}
        datasets = [*entries("dataset"), *self.benchmark.datasets]
        lookups = [("dataset", experiment.dataset, datasets)]
        lookups += [("recipe", experiment.recipe, known["recipe"])]
        for pair in (pair for method in experiment.methods for pair in method.pairs()):
            for section, value in zip(("loss", "sampler"), pair, strict=True):
                lookups.append((f"methods.{section}", value, known[section]))
        for key, value, valid in lookups:
            if value not in valid:
                hint = nearest(value, valid)
                self.problems.append(f"{where}.{key}: no such entry (got '{value}'){hint}")

    def _methods(self, where: str, experiment: Experiment) -> list[tuple[str, str, str]]:
        """The methods of an experiment, each checked."""
        before = len(self.problems)
        pairs = [pair for method in experiment.methods for pair in method.pairs()]
        methods = [m for pair in pairs for m in self.resolver.spread(experiment, pair, where)]
        if len(self.problems) > before:
            return methods
        if len(set(methods)) < len(methods):
            self.problems.append(f"{where}.methods: the same loss and sampler are listed twice")
        facts = self.plan.facts(experiment.dataset)
        self.problems += checks.measure_problems(
            self.benchmark.evaluation, experiment.dataset, facts
        )
        for recipe, loss, sampler in methods:
            self._combination(experiment.dataset, recipe, loss, sampler, where)
        return methods

    def _combination(self, dataset: str, recipe: str, loss: str, sampler: str, where: str) -> None:
        """Refuse what cannot be trained, with the reason."""
        plan, facts = self.plan, self.plan.facts(dataset)
        how, chosen, costs = plan.recipes[recipe], plan.samplers[sampler], plan.losses[loss]
        names = f"{where}: recipe '{recipe}' with sampler '{sampler}'"
        self.problems += checks.fold_problems(dataset, facts.folds, how["test_fold"], where)
        self.problems += checks.batch_problems(dataset, facts.train_classes, how, chosen, names)
        names = f"{where}: loss '{loss}' with sampler '{sampler}'"
        if problems := list(checks.method_problems(how, costs, chosen, names)):
            self.problems += problems
        else:
            self._try_to_build(costs, chosen, facts.train_classes, how["embedding_dim"], names)

    def _try_to_build(
        self, loss: dict, sampler: dict, classes: int, dimension: int, names: str
    ) -> None:
        """Call the constructors once: they may refuse what their signatures allow."""
        key = json.dumps([loss, sampler, classes, dimension])
        if key in self.built:
            return
        self.built.add(key)
        options = {key: value for key, value in loss.items() if key != "loss_lr"}
        try:
            build_object("loss", options, num_classes=classes, embedding_dim=dimension)
            for kind in ("positive", "negative", "miner"):
                build_object(kind, sampler[kind])
        except ConfigError as error:
            self.problems.append(f"{names}: {error}")

    def controls(self) -> None:
        """Plan the controls of each experiment: of its first method, with the first seed."""
        plan, benchmark = self.plan, self.benchmark
        for name, experiment in benchmark.experiments.items():
            recipe, loss, sampler = plan.methods[name][0]
            shuffled = f"{recipe}{SHUFFLED}"
            methods = {
                "random": (recipe, RANDOM, NO_SAMPLER),
                "untrained": (recipe, UNTRAINED, NO_SAMPLER),
                "shuffled": (shuffled, loss, sampler),
            }
            plan.controls[name] = {
                kind: Run(experiment.dataset, *methods[kind], benchmark.seeds[0])
                for kind in benchmark.controls
            }
            if "shuffled" not in benchmark.controls:
                continue
            entry = {**plan.recipes[recipe], "labels": "shuffled"}
            if shuffled in benchmark.recipes or plan.recipes.setdefault(shuffled, entry) != entry:
                self.problems.append(
                    f"controls: shuffled would make the recipe '{shuffled}', a name that another "
                    "entry has; rename that one"
                )
