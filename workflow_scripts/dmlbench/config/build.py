"""From a valid config to a plan: names looked up, sweeps spread, combinations checked."""

import itertools

import yaml
from pydantic import ValidationError

from dmlbench.config import catalogue
from dmlbench.config.messages import describe, nearest
from dmlbench.config.models import Benchmark, Choice, Experiment, Recipe, Sampler, Section
from dmlbench.config.plan import Plan
from dmlbench.config.splits import validation_classes
from dmlbench.errors import ConfigError


def build_plan(benchmark: Benchmark, source: str) -> Plan:
    """Look everything up that ``benchmark`` names.

    Args:
        benchmark: The validated config.
        source: Where it came from, for messages.

    Raises:
        ConfigError: One line for each name that does not exist or combination that cannot be.
    """
    return _Builder(benchmark, source).build()


_PLURAL = {"recipe": "recipes", "loss": "losses", "sampler": "samplers"}


class _Builder:
    """Builds a plan and collects the mistakes on the way, so that all are told at once."""

    def __init__(self, benchmark: Benchmark, source: str) -> None:
        self.source = source
        self.problems: list[str] = []
        self.plan = Plan(benchmark)

    def build(self) -> Plan:
        benchmark = self.plan.benchmark
        for name, loss in benchmark.losses.items():
            self._choice("loss", loss, f"losses.{name}")
        for name, sampler in benchmark.samplers.items():
            self._choice("positive", sampler.positive, f"samplers.{name}.positive")
            self._choice("negative", sampler.negative, f"samplers.{name}.negative")
        for name, recipe in benchmark.recipes.items():
            self._recipe(recipe, f"recipes.{name}")
        self._raise()
        for name, experiment in benchmark.experiments.items():
            self._experiment(name, experiment)
        projection = benchmark.projection
        choices = {"selection": benchmark.selections, "split": benchmark.evaluation.splits}
        for key, valid in choices.items():
            if (value := getattr(projection, key)) not in valid:
                self.problems.append(f"projection.{key}: '{value}' is not among {valid}")
        if missing := sorted(set(projection.seeds) - set(benchmark.seeds)):
            self.problems.append(f"projection.seeds: {missing} are not among seeds")
        self._raise()
        for name in benchmark.experiments:
            self.plan.runs.update({run.id: run for run in self.plan.experiment_runs(name)})
        return self.plan

    def _raise(self) -> None:
        if self.problems:
            lines = list(dict.fromkeys(f"{self.source}: {p}" for p in self.problems))
            raise ConfigError("\n".join(lines))

    def _choice(self, kind: str, choice: Choice, where: str) -> dict:
        """The choice as a dict with its options' defaults filled in."""
        known = catalogue.entries(kind)
        if choice.type not in known:
            hint = nearest(choice.type, list(known))
            self.problems.append(f"{where}: unknown {kind} type (got '{choice.type}'){hint}")
            return {}
        options = known[choice.type].options
        try:
            return {"type": choice.type, **options.model_validate(choice.options).model_dump()}
        except ValidationError as error:
            self.problems += [f"{where}.{describe(e, options)}" for e in error.errors()]
            return {}

    def _recipe(self, recipe: Recipe, where: str) -> None:
        if recipe.backbone != "small_cnn":
            for key in sorted({"widths", "hidden"} & recipe.model_fields_set):
                if getattr(recipe, key) != Recipe.model_fields[key].default:
                    self.problems.append(
                        f"{where}.{key}: only small_cnn has it, the backbone is '{recipe.backbone}'"
                    )
        elif recipe.weights != "none":
            self.problems.append(
                f"{where}.weights: small_cnn has no pretrained weights (got '{recipe.weights}'); "
                "use none"
            )
        if "val" in self.plan.benchmark.selections and recipe.validation == 0:
            self.problems.append(
                f"{where}.validation: is 0, but selections has val; hold a share out or drop val"
            )

    def _experiment(self, name: str, experiment: Experiment) -> None:
        where = f"experiments.{name}"
        before = len(self.problems)
        benchmark = self.plan.benchmark
        used = [m for method in experiment.methods for m in method.pairs()]
        lookups = [("dataset", experiment.dataset, list(catalogue.entries("dataset")))]
        lookups += [("recipe", experiment.recipe, list(benchmark.recipes))]
        lookups += [("methods.loss", loss, list(benchmark.losses)) for loss, _ in used]
        lookups += [("methods.sampler", sampler, list(benchmark.samplers)) for _, sampler in used]
        published = [p.stem for p in (catalogue.PACKAGE / "reporting/published").glob("*.yaml")]
        if experiment.published is not None:
            lookups.append(("published", experiment.published, published))
            self._published(experiment, where)
        for key, value, valid in lookups:
            if value not in valid:
                hint = nearest(value, valid)
                self.problems.append(f"{where}.{key}: no such entry (got '{value}'){hint}")
        if len(self.problems) > before:
            return
        methods = [m for pair in used for m in self._spread(experiment, pair, where)]
        if len(self.problems) > before:
            return
        if len(set(methods)) < len(methods):
            self.problems.append(f"{where}.methods: the same loss and sampler are listed twice")
        self._measurable(experiment.dataset)
        for method in methods:
            self._combination(experiment.dataset, method, where)
        self.plan.methods[name] = methods

    def _measurable(self, dataset: str) -> None:
        """Refuse a K or a number of clusters that a part of the dataset is too small for."""
        settings = self.plan.benchmark.evaluation
        facts = catalogue.entries("dataset")[dataset].facts
        for split, subset, label in facts["evaluations"]:
            part = f"{split}/{subset}" if subset else split
            images = facts["counts"].get(part)
            if split not in settings.splits or images is None:
                continue
            if max(settings.recall_at) >= images:
                self.problems.append(
                    f"evaluation.recall_at: {max(settings.recall_at)} is not below the {images:,} "
                    f"images of {dataset} {part}"
                )
            per_class = settings.nmi_plus_of(label) or 1
            if per_class * facts["counts"].get(f"{part}:{label}", 2) > images:
                self.problems.append(
                    f"evaluation.nmi_plus: {per_class} clusters for each class of {label} are more "
                    f"than the {images:,} images of {dataset} {part}; name only the labels to "
                    "measure it for, as {alphabet: 30}"
                )

    def _published(self, experiment: Experiment, where: str) -> None:
        """Refuse published numbers of another dataset."""
        file = catalogue.PACKAGE / f"reporting/published/{experiment.published}.yaml"
        if file.is_file():
            dataset = yaml.safe_load(file.read_text(encoding="utf-8"))["dataset"]
            if dataset != experiment.dataset:
                self.problems.append(
                    f"{where}.published: {experiment.published} is about {dataset}, "
                    f"not about {experiment.dataset}"
                )

    def _spread(
        self, experiment: Experiment, pair: tuple[str, str], where: str
    ) -> list[tuple[str, str, str]]:
        """The methods that one (loss, sampler) pair becomes under the experiment's sweep."""
        sections = ("recipe", "loss", "sampler")
        base = dict(zip(sections, (experiment.recipe, *pair), strict=True))
        keys = [k for k in experiment.sweep if k.partition(".")[0] in sections and "." in k]
        for key in sorted(set(experiment.sweep) - set(keys)):
            self.problems.append(
                f"{where}.sweep: key '{key}' must start with recipe., loss. or sampler."
            )
        methods = []
        for values in itertools.product(*(experiment.sweep[k] for k in keys)):
            names, changes = dict(base), {section: {} for section in sections}
            for key, value in zip(keys, values, strict=True):
                section, _, path = key.partition(".")
                changes[section][path] = value
                names[section] += f"_{path.split('.')[-1]}_{_slug(value)}"
            for section in sections:
                self._entry(section, base[section], names[section], changes[section], where)
            methods.append(tuple(names[section] for section in sections))
        return methods

    def _entry(self, section: str, base: str, name: str, changes: dict, where: str) -> None:
        """Add the entry ``base`` with ``changes`` as ``name`` to the plan."""
        benchmark, plan = self.plan.benchmark, self.plan
        models: dict[str, tuple[Section | Choice, dict]] = {
            "recipe": (benchmark.recipes.get(base), plan.recipes),
            "loss": (benchmark.losses.get(base), plan.losses),
            "sampler": (benchmark.samplers.get(base), plan.samplers),
        }
        original, target = models[section]
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
        if isinstance(entry, Sampler):
            resolved = {
                "per_class": entry.per_class,
                "positive": self._choice("positive", entry.positive, f"{where}.positive"),
                "negative": self._choice("negative", entry.negative, f"{where}.negative"),
            }
        elif isinstance(entry, Choice):
            resolved = self._choice("loss", entry, f"{where}.sweep: loss")
        else:
            resolved = entry.model_dump(mode="json")
        taken = changes and name in getattr(benchmark, _PLURAL[section])
        if taken or target.setdefault(name, resolved) != resolved:
            self.problems.append(
                f"{where}.sweep: would make the {section} '{name}', a name that another entry has; "
                "rename that one"
            )

    def _combination(self, dataset: str, method: tuple[str, str, str], where: str) -> None:
        """Refuse what cannot be trained, with the reason."""
        recipe, sampler = self.plan.recipes[method[0]], self.plan.samplers[method[2]]
        facts = catalogue.entries("dataset")[dataset].facts
        classes = facts["train_classes"]
        classes -= validation_classes(classes, recipe["validation"])
        batch, per_class = recipe["batch_size"], sampler["per_class"]
        names = f"{where}: recipe '{method[0]}' with sampler '{method[2]}'"
        if batch % per_class:
            self.problems.append(
                f"{names}: batch_size {batch} is no multiple of per_class {per_class}"
            )
        elif batch // per_class > classes:
            self.problems.append(
                f"{names}: batch_size {batch} with per_class {per_class} needs "
                f"{batch // per_class} classes, but {dataset} has {classes} to train on; "
                f"raise per_class to {-(-batch // classes)} or more"
            )
        elif batch // per_class < 2:
            self.problems.append(
                f"{names}: a batch of one class has no negatives; lower per_class below {batch}"
            )
        negative = catalogue.entries("negative")[sampler["negative"]["type"]]
        if negative.facts.get("needs_normalized") and not recipe["normalize"]:
            self.problems.append(
                f"{names}: '{negative.name}' negatives are defined on the unit sphere, but the "
                "recipe has normalize: false"
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
