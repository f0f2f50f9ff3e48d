"""How far long work is: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

log = logging.getLogger(__name__)
#: Seconds between two lines of the log.
LOG_EVERY = 15.0


def progress(items: Iterable[T], total: int | None, what: str, unit: str) -> Iterator[T]:
    """Yield ``items`` and tell how many have come; see :func:`counting`."""
    with counting(what, total, unit) as count:
        for item in items:
            yield item
            count(1)


@contextmanager
def counting(
    what: str, total: int | None, unit: str, start: int = 0
) -> Iterator[Callable[[int], None]]:
    """Yield what counts, and tell how much has come, how fast, and how long the rest will take.

    Args:
        what: The heading.
        total: How much it is in the end; None where that is not known.
        unit: What is counted, such as ``images``; ``B`` for bytes.
        start: How much there is already.
    """
    if sys.stderr.isatty():
        scale = {"unit": "B", "unit_scale": True} if unit == "B" else {"unit": f" {unit}"}
        options = {"desc": what, "initial": start, "total": total, "dynamic_ncols": True}
        with tqdm(**options, **scale, leave=False) as bar:
            yield bar.update
    else:
        yield _Lines(what, total, unit, start).update


class _Lines:
    def __init__(self, what: str, total: int | None, unit: str, start: int = 0) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.start = self.done = start
        self.began = self.told = time.monotonic()

    def update(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.told >= LOG_EVERY:
            self.told = now
            log.info("%s", self.line(now - self.began))

    def line(self, seconds: float) -> str:
        """Amount, speed and time left, ``seconds`` after the start."""
        speed = max(self.done - self.start, 1) / max(seconds, 1e-6)
        if not self.total or self.done > self.total:
            return f"{self.what}: {self._amount(self.done)}, {self._amount(speed)}/s"
        left = tqdm.format_interval((self.total - self.done) / speed)
        return (
            f"{self.what}: {self._amount(self.done)} of {self._amount(self.total)} "
            f"({self.done / self.total:.0%}), {self._amount(speed)}/s, {left} left"
        )

    def _amount(self, count: float) -> str:
        return f"{count / 1e6:,.1f} MB" if self.unit == "B" else f"{count:,.0f} {self.unit}"
