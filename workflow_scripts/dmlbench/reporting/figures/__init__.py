"""The figures: each is a file of this folder that registers itself.

Snakemake asks here which figures a config has while it plans its jobs. A figure's file therefore
imports pandas, matplotlib and seaborn only inside the function that draws.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.errors import ConfigError

_REGISTERED: dict[str, "Figure"] = {}


@dataclass(frozen=True)
class Figure:
    """A figure that an experiment may have; docs/adding-a-figure.md explains the attributes.

    ``draw`` makes it from a :class:`dmlbench.reporting.draw_figures.FigureData`. It returns the
    matplotlib figure, and the table of the numbers that this shows or None.
    """

    draw: Callable
    title: str
    applies: Callable[[Plan, str], bool] = lambda plan, experiment: True
    tables: tuple[str, ...] = ()
    files: Callable[[Plan, str], list[tuple[Run, str]]] = lambda plan, experiment: []
    numbers: bool = True

    @property
    def caption(self) -> str:
        """What it shows: the docstring of the function that draws."""
        return " ".join((self.draw.__doc__ or "").split())

    @property
    def suffixes(self) -> list[str]:
        """The suffixes of its files; ``rst`` is the caption, for Snakemake's report."""
        return ["pdf", "png", "rst", *(["csv"] if self.numbers else [])]


def register_figure(title: str, **facts: object) -> Callable:
    """Register the function that draws a figure; arguments are attributes of :class:`Figure`."""

    def register(draw: Callable) -> Callable:
        _REGISTERED[draw.__name__] = Figure(draw, title, **facts)
        return draw

    return register


@cache
def figures() -> dict[str, Figure]:
    """All figures by name, in the order of their names."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return dict(sorted(_REGISTERED.items()))


def planned(plan: Plan, experiment: str) -> list[str]:
    """The names of the figures that an experiment has; they show methods."""
    if not plan.methods[experiment]:
        return []
    return [name for name, figure in figures().items() if figure.applies(plan, experiment)]


def figure_files(plan: Plan) -> list[str]:
    """All figures of a config: those of each experiment that its runs have something to show in."""
    from dmlbench.reporting.figures.critical_difference import same_methods

    name = plan.benchmark.name
    files = [
        paths.figure(name, experiment, kind, suffix)
        for experiment in plan.benchmark.experiments
        for kind in planned(plan, experiment)
        for suffix in figures()[kind].suffixes
    ]
    overall = [paths.overall_figure(name, "critical_difference", "pdf")]
    return files + (overall if same_methods(plan) else [])


def check_file_names(plan: Plan) -> None:
    """Raise a ConfigError where figures of two experiments would be one file.

    The names of kinds and experiments are joined: embedding_train of x, and embedding of train_x.
    """
    owners: dict[str, str] = {}
    for experiment in plan.benchmark.experiments:
        for kind in planned(plan, experiment):
            file = paths.figure(plan.benchmark.name, experiment, kind, "pdf")
            if (other := owners.setdefault(file, experiment)) != experiment:
                raise ConfigError(
                    f"experiments.{experiment}: its figure {file} would also be that of "
                    f"experiments.{other}; rename one of the two"
                )


def recall_is_measured(plan: Plan, experiment: str) -> bool:
    """Whether Recall@K is measured on the test."""
    evaluation = plan.benchmark.evaluation
    return "recall" in evaluation.metrics and "test" in evaluation.splits


def embeddings_are_shown(plan: Plan, experiment: str) -> bool:
    """Whether the dataset is measured on the split whose embeddings figures show."""
    facts = plan.facts(plan.benchmark.experiments[experiment].dataset)
    return any(part.split == shown_split(plan) for part in facts.evaluations)


def shown_split(plan: Plan) -> str:
    """The split whose embeddings figures show: the test, where it is measured."""
    return "test" if "test" in plan.projected_splits else plan.projected_splits[0]


def shown_runs(plan: Plan, experiment: str) -> list[Run]:
    """The runs whose embeddings are shown: one training seed of each method."""
    dataset, seed = plan.benchmark.experiments[experiment].dataset, plan.projected_seeds[0]
    return [Run(dataset, *method, seed) for method in plan.methods[experiment]]


def shown_files(file: Callable[[str], str], split: str = "") -> Callable:
    """The ``files`` of a figure of embeddings; ``file`` names that of a split."""
    return lambda plan, experiment: [
        (run, file(split or shown_split(plan))) for run in shown_runs(plan, experiment)
    ]
