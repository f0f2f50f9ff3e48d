"""What a rule of the checker is: a number, what must hold, and a function that finds breaches."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from dmlbench.checking.results import Measured, Results

TRAIN_AGAIN = "delete its run.json and train it again"
MEASURE_AGAIN = "delete its metrics.json and evaluate it again"


class Breach(NamedTuple):
    """Where a rule does not hold: the run's id, what is wrong, and what to do."""

    run: str
    what: str
    remedy: str


Find = Callable[[Results], Iterator[Breach]]
FindInRun = Callable[[Results, Measured], Iterator[str]]


class Rule(NamedTuple):
    """One rule.

    Attributes:
        id: Such as R03. Never used again for another rule.
        since: The benchmark version that brought it, or last changed it.
        text: What must hold, as docs/protocol.md prints it.
        find: Finds where it does not.
    """

    id: str
    since: str
    text: str
    find: Find


RULES: dict[str, Rule] = {}


def rule(identity: str, since: str, text: str) -> Callable[[Find], Find]:
    """Register a function as a rule."""

    def decorate(find: Find) -> Find:
        assert identity not in RULES, f"{identity} is taken"
        RULES[identity] = Rule(identity, since, text, find)
        return find

    return decorate


def run_rule(
    identity: str, since: str, text: str, remedy: str = MEASURE_AGAIN
) -> Callable[[FindInRun], FindInRun]:
    """Register a rule that holds for each run by itself: the function says what is wrong."""

    def decorate(find: FindInRun) -> FindInRun:
        @rule(identity, since, text)
        def of_all(results: Results) -> Iterator[Breach]:
            for one in results.measured.values():
                yield from (Breach(one.run.id, what, remedy) for what in find(results, one))

        return find

    return decorate
