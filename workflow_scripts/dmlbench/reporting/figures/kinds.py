"""Which figures an experiment has, and which files each is drawn from.

The Snakefile asks this while it plans, so nothing heavy is imported here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dmlbench import paths
from dmlbench.config import Plan, Run

#: Metrics of an experiment with fewer methods can be read off a table.
RANKED = 3


@dataclass(frozen=True)
class Kind:
    """A figure that an experiment may have.

    Attributes:
        title: What the report calls it.
        applies: Whether the runs of an experiment have what it shows.
        tables: The collected tables it is drawn from.
        files: What else it is drawn from, as (run, file inside the run's folder).
        numbers: It also writes the numbers that it shows, as CSV.
    """

    title: str
    applies: Callable[[Plan, str], bool]
    tables: tuple[str, ...] = ()
    files: Callable[[Plan, str], list[tuple[Run, str]]] = lambda plan, experiment: []
    numbers: bool = True

    @property
    def suffixes(self) -> list[str]:
        """The files of the figure."""
        return ["pdf", "png", *(["csv"] if self.numbers else [])]


def planned(plan: Plan, experiment: str) -> list[str]:
    """The kinds of figures that an experiment has."""
    return [name for name, kind in KINDS.items() if kind.applies(plan, experiment)]


def shown_split(plan: Plan) -> str:
    """The split whose embeddings figures show: the test, where it is measured."""
    return "test" if "test" in plan.projected_splits else plan.projected_splits[0]


def shown_runs(plan: Plan, experiment: str) -> list[Run]:
    """The runs whose embeddings are shown: one training seed of each method."""
    dataset = plan.benchmark.experiments[experiment].dataset
    return [Run(dataset, *m, plan.projected_seeds[0]) for m in plan.methods[experiment]]


def swept_key(plan: Plan, experiment: str) -> str | None:
    """The first key of an experiment's sweep that is a quantity; None without one."""
    for key, values in plan.benchmark.experiments[experiment].sweep.items():
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        # The number of a fold is a name.
        if len(numbers) == len(values) > 1 and key != "recipe.test_fold":
            return key
    return None


def same_methods(plan: Plan) -> list[list[str]]:
    """Groups of experiments on different datasets that compare the same losses and samplers."""
    groups: dict[frozenset, list[str]] = {}
    for experiment, methods in plan.methods.items():
        if not plan.benchmark.experiments[experiment].sweep and len(methods) >= RANKED:
            groups.setdefault(frozenset(m[1:] for m in methods), []).append(experiment)
    datasets = {e: plan.benchmark.experiments[e].dataset for e in plan.methods}
    return [g for g in groups.values() if len({datasets[e] for e in g}) == len(g) > 1]


def _recalls(plan: Plan, experiment: str) -> bool:
    return "recall" in plan.benchmark.evaluation.metrics and "test" in _measured(plan)


def _measured(plan: Plan) -> list[str]:
    return plan.benchmark.evaluation.splits


def _epochs(plan: Plan, experiment: str) -> bool:
    monitored = {"val", "test_max"} & set(plan.benchmark.selections)
    epochs = [plan.recipes[m[0]]["epochs"] for m in plan.methods[experiment]]
    return bool(monitored) and max(epochs) > 1


def _several_k(plan: Plan, experiment: str) -> bool:
    return _recalls(plan, experiment) and len(plan.benchmark.evaluation.recall_at) > 1


def _sweeps(plan: Plan, experiment: str) -> bool:
    return _recalls(plan, experiment) and swept_key(plan, experiment) is not None


def _ranks(plan: Plan, experiment: str) -> bool:
    compares = not plan.benchmark.experiments[experiment].sweep
    methods, seeds = len(plan.methods[experiment]), len(plan.benchmark.seeds)
    return _recalls(plan, experiment) and compares and methods >= RANKED and seeds > 1


def _shown(plan: Plan, experiment: str) -> bool:
    facts = plan.facts(plan.benchmark.experiments[experiment].dataset)
    return any(part[0] == shown_split(plan) for part in facts["evaluations"])


def _training_classes(plan: Plan, experiment: str) -> bool:
    return "train" in plan.projected_splits and shown_split(plan) != "train"


def _verifies(plan: Plan, experiment: str) -> bool:
    return plan.verifies(plan.benchmark.experiments[experiment].dataset)


def _of_shown(file: Callable[[str], str]) -> Callable[[Plan, str], list[tuple[Run, str]]]:
    def files(plan: Plan, experiment: str) -> list[tuple[Run, str]]:
        return [(run, file(shown_split(plan))) for run in shown_runs(plan, experiment)]

    return files


def _of_training(plan: Plan, experiment: str) -> list[tuple[Run, str]]:
    return [(run, paths.projection("train")) for run in shown_runs(plan, experiment)]


def _curves(plan: Plan, experiment: str) -> list[tuple[Run, str]]:
    return [(run, paths.ROC_FILE) for run in plan.experiment_runs(experiment)]


KINDS = {
    "recall_per_epoch": Kind("Recall@1 per epoch", _epochs, ("history",)),
    "recall_at_k": Kind("Recall@K", _several_k, ("metrics",)),
    "sweep": Kind("Recall@1 along the sweep", _sweeps, ("metrics",)),
    "critical_difference": Kind("Critical difference", _ranks, ("metrics",)),
    "seconds_per_epoch": Kind("Seconds per epoch", lambda *_: True, ("history", "runs")),
    "embedding": Kind("Embedding", _shown, files=_of_shown(paths.projection), numbers=False),
    "embedding_train": Kind(
        "Embedding of the training classes", _training_classes, files=_of_training, numbers=False
    ),
    "retrieval": Kind("Nearest neighbours", _shown, files=_of_shown(paths.neighbours)),
    "similarities": Kind("Genuine and impostor pairs", _shown, files=_of_shown(paths.similarities)),
    "roc": Kind("Verification", _verifies, files=_curves),
}
