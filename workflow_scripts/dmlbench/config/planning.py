"""From a valid config to a plan: names looked up, sweeps spread, combinations checked."""

import json

from dmlbench import paths
from dmlbench.config.checks import (
    batch_problems,
    data_problems,
    fold_problems,
    folder_problems,
    measure_problems,
    method_problems,
    published_problems,
    recipe_problems,
    source_problems,
)
from dmlbench.config.choices import NO_SAMPLER, Choices
from dmlbench.config.models import Benchmark, Experiment, Sampler
from dmlbench.config.plan import SHUFFLED, Plan
from dmlbench.config.run import RANDOM, UNTRAINED, Run
from dmlbench.config.sweeps import Sweeps
from dmlbench.errors import ConfigError
from dmlbench.plugins.entries import entries
from dmlbench.plugins.messages import nearest
from dmlbench.plugins.objects import build_object


def build_plan(benchmark: Benchmark, source: str) -> Plan:
    """Look everything up that ``benchmark`` names.

    Args:
        benchmark: The validated config.
        source: Where it came from, for messages.

    Raises:
        ConfigError: One line for each name that does not exist or combination that cannot be.
    """
    return _Builder(benchmark, source).build()


class _Builder:
    """Builds a plan and collects the mistakes on the way, so that all are told at once."""

    def __init__(self, benchmark: Benchmark, source: str) -> None:
        self.source = source
        self.problems: list[str] = []
        self.plan = Plan(benchmark)
        self.choices = Choices(self.problems, self.plan.classes)
        self.built: set[str] = set()
        self.samplers = {NO_SAMPLER: Sampler(), **benchmark.samplers}
        self.sweeps = Sweeps(self.plan, self.choices, self.samplers)

    def build(self) -> Plan:
        benchmark = self.plan.benchmark
        self.problems += data_problems(benchmark.data)
        for name, loss in benchmark.losses.items():
            self.choices.resolve("loss", loss, f"losses.{name}")
        for name, sampler in benchmark.samplers.items():
            self.choices.sampler(sampler, f"samplers.{name}")
        if NO_SAMPLER in benchmark.samplers:
            self.problems.append(
                f"samplers.{NO_SAMPLER}: every config has this one (images shuffled, no tuples); "
                "take another name"
            )
        for name, folder in benchmark.datasets.items():
            self.problems += folder_problems(name, folder)
        self.problems += source_problems(benchmark.data.sources)
        for name, recipe in benchmark.recipes.items():
            self.problems += recipe_problems(recipe, benchmark.selections, f"recipes.{name}")
        self._raise()
        for name, experiment in benchmark.experiments.items():
            self._experiment(name, experiment)
        projection = benchmark.projection
        wanted = [("selection", projection.selection, benchmark.selections)]
        wanted += [("splits", s, benchmark.evaluation.splits) for s in projection.splits]
        for key, value, valid in wanted:
            if value not in valid:
                self.problems.append(f"projection.{key}: '{value}' is not among {valid}")
        if missing := sorted(set(projection.seeds) - set(benchmark.seeds)):
            self.problems.append(f"projection.seeds: {missing} are not among seeds")
        self._raise()
        for name in benchmark.experiments:
            self._controls(name)
        self._raise()
        return self.plan

    def _controls(self, name: str) -> None:
        """Plan the controls of an experiment: of its first method, with the first seed."""
        plan, benchmark = self.plan, self.plan.benchmark
        dataset, (recipe, loss, sampler) = (
            benchmark.experiments[name].dataset,
            plan.methods[name][0],
        )
        shuffled = f"{recipe}{SHUFFLED}"
        methods = {
            "random": (recipe, RANDOM, NO_SAMPLER),
            "untrained": (recipe, UNTRAINED, NO_SAMPLER),
            "shuffled": (shuffled, loss, sampler),
        }
        plan.controls[name] = {
            kind: Run(dataset, *methods[kind], benchmark.seeds[0]) for kind in benchmark.controls
        }
        if "shuffled" not in benchmark.controls:
            return
        entry = {**plan.recipes[recipe], "labels": "shuffled"}
        if shuffled in benchmark.recipes or plan.recipes.setdefault(shuffled, entry) != entry:
            self.problems.append(
                f"controls: shuffled would make the recipe '{shuffled}', a name that another entry "
                "has; rename that one"
            )

    def datasets(self) -> list[str]:
        """All that an experiment may name."""
        return [*entries("dataset"), *self.plan.benchmark.datasets]

    def _raise(self) -> None:
        if self.problems:
            lines = list(dict.fromkeys(f"{self.source}: {p}" for p in self.problems))
            raise ConfigError("\n".join(lines))

    def _experiment(self, name: str, experiment: Experiment) -> None:
        where = f"experiments.{name}"
        before = len(self.problems)
        if paths.is_taken(name):
            self.problems.append(f"{where}: another table has this name; take another one")
        benchmark = self.plan.benchmark
        used = [m for method in experiment.methods for m in method.pairs()]
        lookups = [("dataset", experiment.dataset, self.datasets())]
        lookups += [("recipe", experiment.recipe, list(benchmark.recipes))]
        lookups += [("methods.loss", loss, list(benchmark.losses)) for loss, _ in used]
        lookups += [("methods.sampler", sampler, list(self.samplers)) for _, sampler in used]
        self.problems += published_problems(experiment, where)
        for key, value, valid in lookups:
            if value not in valid:
                hint = nearest(value, valid)
                self.problems.append(f"{where}.{key}: no such entry (got '{value}'){hint}")
        if len(self.problems) > before:
            return
        methods = [m for pair in used for m in self.sweeps.spread(experiment, pair, where)]
        if len(self.problems) > before:
            return
        if len(set(methods)) < len(methods):
            self.problems.append(f"{where}.methods: the same loss and sampler are listed twice")
        facts = self.plan.facts(experiment.dataset)
        self.problems += measure_problems(benchmark.evaluation, experiment.dataset, facts)
        for method in methods:
            self._combination(experiment.dataset, method, where)
        self.plan.methods[name] = methods

    def _combination(self, dataset: str, method: tuple[str, str, str], where: str) -> None:
        """Refuse what cannot be trained, with the reason."""
        plan = self.plan
        recipe, loss = plan.recipes[method[0]], plan.losses[method[1]]
        sampler = plan.samplers[method[2]]
        names = f"{where}: recipe '{method[0]}' with sampler '{method[2]}'"
        facts = plan.facts(dataset)
        classes, folds = facts.train_classes, facts.folds
        self.problems += fold_problems(dataset, folds, recipe["test_fold"], where)
        self.problems += batch_problems(dataset, classes, recipe, sampler, names)
        names = f"{where}: loss '{method[1]}' with sampler '{method[2]}'"
        before = len(self.problems)
        self.problems += method_problems(recipe, loss, sampler, names)
        if len(self.problems) == before:
            self._try_to_build(loss, sampler, classes, recipe["embedding_dim"], names)

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
