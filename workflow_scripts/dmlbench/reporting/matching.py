"""Which of our methods a published row is of, and whether it was trained as ours is."""

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from dmlbench import paths
from dmlbench.config import METHOD_KEYS, Plan
from dmlbench.plugins.types import Selection
from dmlbench.reporting.published import (
    Method,
    Published,
    Row,
    methods_of,
    published_of,
    value_at,
)

#: The selections that are measured before the head.
_BODIES = {paths.body_of(selection) for selection in get_args(Selection)}


class Found(NamedTuple):
    """A row of a published table, and what it is of ours.

    ``numbers``: the row's percentages by metric (such as ``recall@1``; only those that are the same
    as ours). ``same``: our methods that it is, with all settings that it tells. ``other``: those
    with other settings, each with the keys that differ.
    """

    table: Published
    row: Row
    numbers: dict[str, float]
    same: list[Method]
    other: dict[Method, list[str]]

    def of(self, selection: str) -> bool:
        """Whether its numbers are of what a selection measures: the embedding, or the body."""
        return (self.row.features == "body") == (selection in _BODIES)


def differing(plan: Plan, method: Method, settings: dict[str, Any]) -> list[str]:
    """The keys of ``settings`` whose values a method does not have, in their order."""
    entries = (plan.recipes[method[0]], plan.losses[method[1]], plan.samplers[method[2]])
    run = dict(zip(METHOD_KEYS, entries, strict=True))
    return [key for key, value in settings.items() if value_at(run, key) != value]


def published_rows(plan: Plan, experiment: str, part: tuple[str, str, str]) -> Iterator[Found]:
    """What the published tables of an experiment say of a part (split, subset, label column)."""
    where = (plan.benchmark.experiments[experiment].dataset, *part)
    for table in published_of(plan, experiment):
        for block in (b for b in table.parts if b.part == where):
            for row in block.rows:
                told = block.numbers(row).items()
                values = {m: v for m, v in told if table.same_metric(plan, m, part[2])}
                yield Found(table, row, values, *match_row(plan, experiment, table, row))


def match_row(
    plan: Plan, experiment: str, table: Published, row: Row
) -> tuple[list[Method], dict[Method, list[str]]]:
    """Our methods that a row is, with its settings, and with others: see :class:`Found`."""
    ours = (m for match in row.match for m in methods_of(plan, experiment, match))
    told = table.settings_of(row)
    differ = {method: differing(plan, method, told) for method in ours}
    same = [method for method, keys in differ.items() if not keys]
    return same, {method: keys for method, keys in differ.items() if keys}
