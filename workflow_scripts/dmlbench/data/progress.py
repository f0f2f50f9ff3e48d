"""How far a long loop is: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

log = logging.getLogger(__name__)
#: Seconds between two lines of the log.
LOG_EVERY = 15.0


def progress(items: Iterable[T], total: int | None, what: str, unit: str) -> Iterator[T]:
    """Yield ``items`` and tell how many have come, how fast, and how long the rest will take.

    Args:
        items: What to loop over.
        total: How many there are; None where that is not known.
        what: The heading.
        unit: What is counted, such as ``images``.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, unit=f" {unit}", leave=False)
        return
    started = told = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - told >= LOG_EVERY:
            told = now
            log.info("%s: %s", what, _line(number, total, unit, now - started))


def _line(done: int, total: int | None, unit: str, seconds: float) -> str:
    speed = f"{done / seconds:,.0f} {unit}/s"
    if not total or done > total:
        return f"{done:,} {unit}, {speed}"
    return f"{done:,} of {total:,} {unit}, {speed}, {seconds / done * (total - done):.0f} s left"
