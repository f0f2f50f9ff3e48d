"""What several figures need: the runs of a method, and means over seeds with their range."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.errors import DataError
from dmlbench.reporting import names
from dmlbench.reporting.style import method_styles

Method = tuple[str, str, str]


@dataclass(frozen=True)
class Scene:
    """What is drawn: an experiment of a config.

    Attributes:
        plan: The config.
        experiment: The experiment's name.
        words: Every method in words, in the config's order.
        styles: How every method is drawn.
    """

    plan: Plan
    experiment: str
    words: dict[Method, str]
    styles: dict[Method, dict]

    @classmethod
    def of(cls, plan: Plan, experiment: str) -> "Scene":
        """The scene of an experiment."""
        return cls(plan, experiment, names.methods(plan, experiment), method_styles(plan))

    @property
    def dataset(self) -> str:
        """The experiment's dataset."""
        return self.plan.benchmark.experiments[self.experiment].dataset

    @property
    def selection(self) -> str:
        """Which weights figures show."""
        return self.plan.benchmark.projection.selection

    @property
    def partial(self) -> bool:
        """Whether figures are made of the runs that there are."""
        return self.plan.benchmark.partial

    @property
    def k(self) -> int:
        """The K of the Recall@K that methods are compared by: 1, where it is measured."""
        return min(self.plan.benchmark.evaluation.recall_at)

    def parts(self, split: str) -> list[tuple[str, str, str]]:
        """The (split, subset, label) of a split that are measured by themselves."""
        return [tuple(p) for p in self.plan.facts(self.dataset)["evaluations"] if p[0] == split]

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """The rows of a collected table that belong to this experiment.

        Raises:
            DataError: A planned run has none, and the config does not say partial.
        """
        file = paths.summary(self.plan.benchmark.name, name)
        everything = pd.read_parquet(file, columns=columns and [*KEYS, *columns])
        mine = everything[everything["dataset"] == self.dataset]
        methods = pd.MultiIndex.from_frame(mine[list(KEYS[1:4])])
        mine = mine[methods.isin(list(self.words))]
        there = set(zip(*(mine[k] for k in KEYS), strict=True))
        planned = [] if self.partial else self.plan.experiment_runs(self.experiment)
        for run in planned:
            if tuple(getattr(run, k) for k in KEYS) not in there:
                raise DataError(f"{file} has nothing of run {run.id}; run the pipeline to the end")
        return mine.assign(method=list(zip(*(mine[k] for k in KEYS[1:4]), strict=True)))

    def recalls(self, k: int | None = None) -> pd.DataFrame:
        """Recall in percent on the test, of the shown weights: one row for each run, part and K."""
        table = self.table("metrics", ["selection", "split", "subset", "label", *METRIC])
        chosen = (table["metric"] == "recall") & (table["selection"] == self.selection)
        chosen &= table["split"] == "test"
        if k is not None:
            chosen &= table["k"] == k
        return table[chosen].assign(value=100 * table["value"])

    def of_runs(self, runs: Iterable[Run], file: str) -> list[tuple[Method, Run, pd.DataFrame]]:
        """A table in each run's folder; those that are not there are left out of a partial config.

        Raises:
            DataError: One is missing, and the config does not say partial; or all are.
        """
        found = []
        for run in runs:
            path = self.plan.run_folder(run) / file
            if path.is_file():
                found.append(((run.recipe, run.loss, run.sampler), run, pd.read_parquet(path)))
            elif not self.partial:
                raise DataError(f"{path} is missing; run the pipeline to the end")
        if not found:
            raise DataError(f"{self.experiment}: no run has {file} yet; run the pipeline first")
        return found


#: What a run is known by in collected tables.
KEYS = ("dataset", "recipe", "loss", "sampler", "seed")
METRIC = ("metric", "k", "value")


def over_seeds(table: pd.DataFrame, by: Sequence[Hashable], value: str = "value") -> pd.DataFrame:
    """Mean, lowest and highest value over seeds, and their number, for each group."""
    found = table.groupby(list(by), sort=False)[value].agg(["mean", "min", "max", "size"])
    return found.rename(columns={"min": "low", "max": "high", "size": "seeds"}).reset_index()
