"""What a rule of the checker is: a number, what must hold, and a function that finds breaches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dmlbench.checking.results import Results


class Breach(NamedTuple):
    """Where a rule does not hold.

    Attributes:
        run: The run's id.
        what: What is wrong.
        remedy: What to do.
    """

    run: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Rule:
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
    find: Callable[[Results], Iterator[Breach]]


RULES: dict[str, Rule] = {}

Find = Callable[[Results], Iterator[Breach]]


def rule(identity: str, since: str, text: str) -> Callable[[Find], Find]:
    """Register a function as a rule."""

    def decorate(find: Find) -> Find:
        assert identity not in RULES, f"{identity} is taken"
        RULES[identity] = Rule(identity, since, text, find)
        return find

    return decorate


TRAIN_AGAIN = "delete its run.json and train it again"
MEASURE_AGAIN = "delete its metrics.json and evaluate it again"
