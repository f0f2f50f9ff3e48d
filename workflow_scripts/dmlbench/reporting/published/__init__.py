"""Numbers that papers published, and which of our methods they are of."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from dmlbench.config import Plan
from dmlbench.config.dataset_facts import clusters_per_class
from dmlbench.config.read_yaml import read_config

#: Names of recipe, loss and sampler.
Method = tuple[str, str, str]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(_Data):
    """Which of our methods a published one is: the types of its loss and choices."""

    loss: str
    options: dict[str, Any] = {}  # of the loss; they tell it from others of its type
    positive: str | None = None
    negative: str | None = None


class Row(_Data):
    """A published method; ``match`` is empty where none of ours could be it."""

    name: str
    match: list[Match] = []
    values: list[float | None]


class PublishedPart(_Data):
    """Published percentages of one dataset, split, subset and label column."""

    part: tuple[str, str, str, str]
    columns: list[str]
    rows: list[Row]

    def numbers(self, row: Row) -> dict[str, float]:
        """The percentages of a row by metric."""
        return {m: v for m, v in zip(self.columns, row.values, strict=True) if v is not None}

    def value(self, match: Match, metric: str) -> float | None:
        """The published value of a method; None where there is none."""
        found = (self.numbers(row) for row in self.rows if match in row.match)
        return next(found, {}).get(metric)


class Claim(_Data):
    """What a paper says; the text is empty where it only compares. Two methods make it a test."""

    text: str = ""
    worse: Match | None = None
    better: Match | None = None
    metric: str | None = None
    part: tuple[str, str, str, str] | None = None


class Published(_Data):
    """A published table.

    ``protocol`` says how the numbers were got. ``network``: our name of the backbone, where all
    rows have the same; ``selection``: the epoch; ``nmi_plus``: clusters per class by label.
    """

    paper: str
    title: str
    table: str
    datasets: list[str]  # our names
    protocol: dict[str, Any]
    unsaid: str  # what the paper leaves open
    parts: list[PublishedPart]
    claims: list[Claim] = []  # what the paper concludes
    comparisons: list[Claim] = []  # what else it compares

    @property
    def source(self) -> str:
        """Paper and table in a few words."""
        return f"{self.paper}, {self.table}"

    @property
    def selection(self) -> str:
        """Our selection that these numbers are compared with."""
        # Where a paper does not say it: the best epoch on the test set, which the framework that
        # EPS builds on prints, and nine of twelve official codes of the field.
        return "last" if self.protocol["selection"].startswith("last") else "test_max"

    def same_metric(self, plan: Plan, metric: str, label: str) -> bool:
        """Whether ours is the same metric: NMI+ needs the same number of clusters."""
        theirs = self.protocol.get("nmi_plus", {}).get(label)
        return metric != "nmi_plus" or theirs == clusters_per_class(
            plan.benchmark.evaluation, label
        )

    def other_network(self, recipe: dict) -> bool:
        """Whether our recipe has another backbone than these numbers."""
        return self.protocol.get("network", recipe["backbone"]) != recipe["backbone"]


@cache
def read_published(name: str) -> Published:
    """The published table ``name`` (a file beside this one)."""
    return Published.model_validate(read_config(Path(__file__).with_name(f"{name}.yaml")))


def published_of(plan: Plan, experiment: str) -> list[Published]:
    """The published tables that an experiment names."""
    return [read_published(name) for name in plan.benchmark.experiments[experiment].published]


def methods_of(plan: Plan, experiment: str, match: Match) -> list[Method]:
    """The methods of an experiment that are a published one."""
    found = []
    for method in plan.methods[experiment]:
        loss, sampler = plan.losses[method[1]], plan.samplers[method[2]]
        chosen = [(sampler[kind] or {}).get("type") for kind in ("positive", "negative")]
        same = [match.loss, match.positive, match.negative] == [loss["type"], *chosen]
        same &= loss.get("proxies_per_class", 1) == 1  # several are published nowhere
        if same and match.options.items() <= loss.items():
            found.append(method)
    return found


def published_rows(
    plan: Plan, experiment: str, part: tuple[str, str, str]
) -> Iterator[tuple[Published, Row, dict[str, float], list[Method]]]:
    """What the published tables of an experiment say of a part (split, subset, label column).

    Yields a table, a row of it, the row's percentages by metric (such as ``recall@1``; only those
    that are the same as ours), and our methods that the row is of.
    """
    where = (plan.benchmark.experiments[experiment].dataset, *part)
    for table in published_of(plan, experiment):
        for block in (b for b in table.parts if b.part == where):
            for row in block.rows:
                told = block.numbers(row).items()
                same = {m: v for m, v in told if table.same_metric(plan, m, part[2])}
                ours = [m for match in row.match for m in methods_of(plan, experiment, match)]
                yield table, row, same, ours
