"""How far a download is: a bar on a terminal, else a line in the log now and then."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

log = logging.getLogger(__name__)

#: Seconds between two lines.
LOG_EVERY = 30.0


@contextmanager
def progress(name: str, start: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield what counts bytes.

    Args:
        name: What is being fetched.
        start: Bytes that are there already.
        total: Bytes in the end, where they are known.
    """
    if sys.stderr.isatty():
        options = {"unit": "B", "unit_scale": True, "dynamic_ncols": True, "leave": False}
        with tqdm(desc=name, initial=start, total=total, **options) as bar:
            yield bar.update
    else:
        yield _Lines(name, start, total).update


class _Lines:
    def __init__(self, name: str, start: int, total: int | None) -> None:
        self.name, self.start, self.total = name, start, total
        self.done = start
        self.began = self.told = time.monotonic()

    def update(self, size: int) -> None:
        self.done += size
        now = time.monotonic()
        if now - self.told >= LOG_EVERY:
            self.told = now
            log.info("%s", self.line(now - self.began))

    def line(self, seconds: float) -> str:
        """Size, speed and time left, ``seconds`` after the start."""
        speed = max(self.done - self.start, 1) / max(seconds, 1e-6)
        text = f"{self.name}: {self.done / 1e6:,.1f}"
        if self.total:
            text += f" of {self.total / 1e6:,.1f} MB ({self.done / self.total:.0%})"
        else:
            text += " MB"
        text += f", {speed / 1e6:,.1f} MB/s"
        if self.total:
            text += f", {tqdm.format_interval(max(self.total - self.done, 0) / speed)} left"
        return text
