"""What a rule of the checker is, and holding results against every rule."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from dmlbench import BENCHMARK_VERSION
from dmlbench.checking.results import Measured, Results
from dmlbench.errors import DataError
from dmlbench.files import write_json
from dmlbench.workflow.job_records import MEASURE_AGAIN

#: More breaches of one rule are counted, not listed.
_LISTED = 20


class Breach(NamedTuple):
    """Where a rule does not hold: the run's id, what is wrong, and what to do."""

    run: str
    what: str
    remedy: str


Find = Callable[[Results], Iterator[Breach]]


class Rule(NamedTuple):
    """One rule."""

    id: str  # such as R03; never used again for another rule
    text: str  # what must hold, as docs/protocol.md prints it
    since: str  # the benchmark version that brought it, or last changed it
    find: Find


_REGISTERED: dict[str, Rule] = {}


def rules() -> dict[str, Rule]:
    """All rules by their numbers, in order."""
    from dmlbench.checking import (  # noqa: F401  they register theirs
        alteration_rules,
        comparison_rules,
        number_rules,
    )

    return dict(sorted(_REGISTERED.items()))


def rule(identity: str, text: str, since: str = "1.0") -> Callable[[Find], Find]:
    """Register a function as a rule."""

    def decorate(find: Find) -> Find:
        assert identity not in _REGISTERED, f"{identity} is taken"
        _REGISTERED[identity] = Rule(identity, text, since, find)
        return find

    return decorate


def run_rule(identity: str, text: str, remedy: str = MEASURE_AGAIN, since: str = "1.0") -> Callable:
    """Register a rule that holds for each run by itself: the function says what is wrong."""

    def decorate(find: Callable[[Results, Measured], Iterator[str]]) -> Find:
        def find_in_all(results: Results) -> Iterator[Breach]:
            for one in results.measured.values():
                yield from (Breach(one.run.id, what, remedy) for what in find(results, one))

        return rule(identity, text, since)(find_in_all)

    return decorate


def check(results: Results) -> list[dict]:
    """Every breach of every rule: rule, run, what and remedy."""
    return [
        {"rule": identity, **breach._asdict()}
        for identity, one in rules().items()
        for breach in one.find(results)
    ]


def words(breaches: list[dict]) -> list[str]:
    """A line for each breach; the first ones of a rule with many."""
    lines = []
    for identity, found in groupby(breaches, lambda breach: breach["rule"]):
        told = [f"{b['rule']} {b['run']}: {b['what']}; {b['remedy']}" for b in found]
        more = len(told) - _LISTED
        lines += told[:_LISTED] + ([f"{identity}: {more} more"] if more > 0 else [])
    return lines


def write_check(results: Results, breaches: list[dict], path: Path) -> None:
    """Write what was checked and found."""
    content = {
        "benchmark_version": BENCHMARK_VERSION,
        "rules": [{"id": r.id, "since": r.since, "text": r.text} for r in rules().values()],
        "runs": Counter(entry.state for entry in results.entries),
        "breaches": breaches,
    }
    # Results of before they were looked for have none.
    content |= {"duplicates": found} if (found := results.duplicates()) else {}
    write_json(path, content)


def refuse(breaches: list[dict]) -> None:
    """Raise DataError with a line for each breach, if there is one."""
    if breaches:
        raise DataError("\n".join(words(breaches)))
