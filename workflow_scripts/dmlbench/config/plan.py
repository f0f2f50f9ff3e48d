"""What a config plans: its runs and everything looked up for them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from dmlbench import paths
from dmlbench.config.archive_table import archives
from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.config.frozen import network_name, uses_features
from dmlbench.config.models import Benchmark
from dmlbench.config.own_datasets import own_facts
from dmlbench.config.recipe import weights_hash
from dmlbench.errors import ConfigError
from dmlbench.plugins.arguments import is_described
from dmlbench.plugins.class_paths import ClassSource
from dmlbench.plugins.entries import entry
from dmlbench.plugins.messages import nearest
from dmlbench.seeding import derive_seed

#: What stands in the place of a loss where nothing is trained. No entry of a config can have such a
#: name: it has a hyphen.
RANDOM, UNTRAINED, REDUCED = "random-embedding", "untrained-backbone", "untrained-backbone-pca"
NOT_TRAINED = (RANDOM, UNTRAINED, REDUCED)
#: How a name begins that stands there for vectors which another model made.
_FEATURES = "features-"
#: The sampler that every config has: images shuffled, no tuples chosen.
NO_SAMPLER = "none"


@dataclass(frozen=True, order=True)
class Run:
    """One training: the names of its config entries and its seed.

    A control without training has its kind in the place of the loss.
    """

    dataset: str
    recipe: str
    loss: str
    sampler: str
    seed: int

    @property
    def id(self) -> str:
        """The run's path below ``runs/``, which is also how scripts name it."""
        return paths.RUN_ID.format(**self.__dict__)

    @property
    def method(self) -> tuple[str, str, str]:
        """What a run compares, whatever its dataset and seed: recipe, loss and sampler."""
        return self.recipe, self.loss, self.sampler

    @property
    def trained(self) -> bool:
        """Whether it is a training, not a control without one."""
        return self.loss not in NOT_TRAINED and not self.features

    @property
    def features(self) -> str:
        """The entry of ``features`` that the run measures; empty for all other runs."""
        return self.loss.removeprefix(_FEATURES) if self.loss.startswith(_FEATURES) else ""

    @classmethod
    def of_features(cls, dataset: str, recipe: str, name: str, seed: int) -> "Run":
        """The run that measures an entry of ``features``."""
        return cls(dataset, recipe, _FEATURES + name, NO_SAMPLER, seed)


#: The columns that identify a run in tables, and those that identify a method.
RUN_KEYS = [field.name for field in fields(Run)]
METHOD_KEYS = RUN_KEYS[1:4]
#: How a recipe's name ends that is another's with shuffled labels.
SHUFFLED = "_labels_shuffled"


@dataclass(frozen=True)
class Swept:
    """Where an entry of a sweep comes from.

    ``base`` are the (recipe, loss, sampler) names that the config has; ``settings`` the value of
    each swept key, such as ``sampler.per_class``.
    """

    base: tuple[str, str, str]
    settings: dict[str, Any]


@dataclass
class Plan:
    """A config with everything looked up: what the Snakefile and the scripts work from.

    Attributes:
        benchmark: The validated config.
        recipes, losses, samplers: All entries that runs use, swept ones included, as plain dicts
            with every default filled in.
        methods: For each experiment its (recipe, loss, sampler) names, in the config's order.
        swept: The methods that sweeps made.
        controls: For each experiment its controls by kind (random, untrained, pca, shuffled); also
            the vectors of other models, by the name in the place of the loss.
        classes: By kind and name what is known of each class that losses and samplers name: the
            ``facts`` of its decorator, and its code (:class:`ClassSource`).
        vectors: The SHA-256 of the files of ``features``, by name.
        own: What follows from the user's own folders and tables, by the dataset's name.
    """

    benchmark: Benchmark
    recipes: dict[str, dict] = field(default_factory=dict)
    losses: dict[str, dict] = field(default_factory=dict)
    samplers: dict[str, dict] = field(default_factory=dict)
    methods: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    swept: dict[tuple[str, str, str], Swept] = field(default_factory=dict)
    controls: dict[str, dict[str, Run]] = field(default_factory=dict)
    classes: dict[str, dict[str, dict]] = field(default_factory=dict)
    vectors: dict[str, str] = field(default_factory=dict)
    own: dict[str, DatasetFacts] = field(default_factory=dict, repr=False)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Every planned training once, by its id."""
        runs = [run for name in self.methods for run in self.experiment_runs(name)]
        runs += [runs["shuffled"] for runs in self.controls.values() if "shuffled" in runs]
        return {run.id: run for run in runs}

    @cached_property
    def all_runs(self) -> dict[str, Run]:
        """Every planned run once, controls without a training last."""
        found = {run.id: run for runs in self.controls.values() for run in runs.values()}
        return {**self.runs, **{i: run for i, run in found.items() if not run.trained}}

    def selections(self, run: Run) -> list[str]:
        """The weights that a run keeps; of what is not trained there is one."""
        return self.benchmark.selections if run.trained else [self.control_selection]

    def measured(self, run: Run) -> list[str]:
        """What is embedded and measured of a run: its selections, and with ``body`` the features
        before the head of each. A control without a training has no head.
        """
        selections = self.selections(run)
        bodies = map(paths.body_of, selections if run.trained else ())
        return [*selections, *(bodies if self.benchmark.evaluation.body else ())]

    @property
    def control_selection(self) -> str:
        """The selection of controls: the last epoch, where it is kept."""
        return "last" if "last" in self.benchmark.selections else self.benchmark.selections[0]

    @property
    def datasets(self) -> list[str]:
        """The datasets that runs use."""
        return sorted({run.dataset for run in self.all_runs.values()})

    @property
    def not_trained(self) -> list[str]:
        """All that stands in the place of a loss where nothing is trained."""
        return [*NOT_TRAINED, *(_FEATURES + name for name in self.benchmark.features)]

    @property
    def projected_seeds(self) -> list[int]:
        """The training seeds to project; the first one is drawn."""
        return self.benchmark.projection.seeds or self.benchmark.seeds[:1]

    @property
    def projected_splits(self) -> list[str]:
        """The splits that are projected, each for a figure of its own."""
        return self.benchmark.projection.splits or self.benchmark.evaluation.splits

    def facts(self, dataset: str) -> DatasetFacts:
        """What a dataset states of itself, or follows from its folder or table."""
        own = self.benchmark.datasets
        if dataset not in own:
            return entry("dataset", dataset).cls.facts
        if dataset not in self.own:  # every file is looked at, so only once
            self.own[dataset] = own_facts(own[dataset])
        return self.own[dataset]

    def source_of(self, dataset: str) -> str:
        """The config's choice of a dataset's sources, or its first; "" where it has no archives."""
        known = self.facts(dataset).sources
        return self.benchmark.data.sources.get(dataset) or next(iter(known), "")

    def raw_archives(self, dataset: str) -> list[str]:
        """The paths of a dataset's archives."""
        source = self.source_of(dataset)
        return [paths.RAW.format(source=source, archive=file) for file in archives(source)]

    def class_facts(self, kind: str, name: str) -> dict:
        """What the decorator says of the class that the config calls ``name``."""
        return self._class(kind, name)["facts"]

    def _class(self, kind: str, name: str) -> dict:
        # A loss may have another loss inside it, or any object.
        kinds = (k for k in (kind, "loss", "object") if name in self.classes.get(k, {}))
        return self.classes[next(kinds)][name]

    def verifies(self, dataset: str) -> bool:
        """Whether runs on a dataset are measured on pairs of images."""
        wanted = "verification" in self.benchmark.evaluation.metrics
        return wanted and bool(self.facts(dataset).views)

    def spec(self, run: Run) -> dict:
        """Everything that decides the run's result, names included."""
        own = self.benchmark.datasets.get(run.dataset)
        split = {"split": own.model_dump(exclude={"folder", "table"})} if own else {}
        split |= {"features": self.vectors[run.features]} if run.features else {}
        weights = weights_hash(self.recipes[run.recipe]["weights"])
        return split | {
            **({"weights": weights} if weights else {}),
            "dataset": run.dataset,
            "recipe": {"name": run.recipe, **self.recipes[run.recipe]},
            "loss": {"name": run.loss, **self.losses.get(run.loss, {})},
            "sampler": {"name": run.sampler, **self.samplers.get(run.sampler, {})},
            "seed": run.seed,
            "selections": self.selections(run),
            "threads": self.benchmark.resources.train.threads,
        }

    def sources(self, run: Run) -> tuple[ClassSource, ...]:
        """The code of every class that the run's config names, nested ones too."""
        sampler = self.samplers[run.sampler]
        specs = {kind: sampler[kind] for kind in ("positive", "negative", "miner")}
        specs["loss"] = self.losses[run.loss]
        known = [self._class(k, name) for k, spec in specs.items() for name in _class_names(spec)]
        optimizer = self.recipes[run.recipe]["optimizer"]["name"]
        if "." in optimizer:
            known.append(self._class("optimizer", optimizer))
        return tuple(sorted({ClassSource(tuple(c["modules"]), c["package"]) for c in known}))

    def fingerprint(self, run: Run) -> str:
        """A short hash of :meth:`spec`: the run's result is made anew where it changes."""
        return f"{derive_seed(self.spec(run)):016x}"

    def fingerprint_of_all(self) -> str:
        """A short hash of all runs' settings and of how they are measured."""
        runs = sorted(map(self.fingerprint, self.all_runs.values()))
        return f"{derive_seed(runs, self.benchmark.evaluation.model_dump()):016x}"

    def run_folder(self, run: Run) -> Path:
        """Where a run's files lie."""
        return paths.local(paths.run(self.benchmark.name), **run.__dict__)

    def checkpoint_folder(self, run: Run) -> Path:
        """Where a run's checkpoint and lock lie while it trains."""
        return paths.local(paths.checkpoints(self.benchmark.name), **run.__dict__)

    def data_folder(self, run: Run) -> Path:
        """Where the prepared dataset of a run lies."""
        store = self.recipes[run.recipe]["store"]
        return paths.local(paths.PREPARED, dataset=run.dataset, store=store)

    def features_file(self, run: Run) -> Path | None:
        """Where the features are that a run's head is trained on; None where it sees images."""
        recipe = self.recipes[run.recipe]
        if not uses_features(recipe):
            return None
        return paths.local(paths.FEATURES, dataset=run.dataset, network=network_name(recipe))

    def recipe_of_network(self, network: str) -> dict:
        """A recipe with the frozen backbone ``network``; a ConfigError where there is none."""
        frozen = [recipe for recipe in self.recipes.values() if uses_features(recipe)]
        found = {network_name(recipe): recipe for recipe in frozen}
        if network not in found:
            raise ConfigError(f"no frozen backbone '{network}'{nearest(network, list(found))}")
        return found[network]

    def experiment_runs(self, experiment: str) -> list[Run]:
        """The runs of one experiment, methods outermost."""
        dataset = self.benchmark.experiments[experiment].dataset
        return [
            Run(dataset, *method, seed)
            for method in self.methods[experiment]
            for seed in self.benchmark.seeds
        ]

    def check_experiment(self, name: str) -> None:
        """Raise a ConfigError where the config has no experiment ``name``."""
        known = list(self.benchmark.experiments)
        if name not in known:
            raise ConfigError(f"no experiment '{name}' in the config{nearest(name, known)}")

    def run_by_id(self, run_id: str, trained: bool | None = None) -> Run:
        """The run of a name; a ConfigError where there is none, or not one that is ``trained``."""
        if run_id not in self.all_runs:
            hint = nearest(run_id, list(self.all_runs))
            raise ConfigError(
                f"run '{run_id}' is not planned by config '{self.benchmark.name}'{hint}"
            )
        run = self.all_runs[run_id]
        if trained not in (None, run.trained):
            todo = "train.py, embed.py trained" if run.trained else "embed.py control"
            raise ConfigError(f"run '{run_id}' is made by another step: {todo}")
        return run


def _class_names(spec: Any) -> Iterator[str]:
    """The class of a description, and those of the descriptions inside it."""
    if is_described(spec):
        yield spec["type"]
    items = spec.values() if isinstance(spec, dict) else spec
    for item in items if isinstance(spec, dict | list) else ():
        yield from _class_names(item)
