"""Progress of long work: a bar on a terminal, a line now and then in a log (both by tqdm)."""

import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

log = logging.getLogger(__name__)
#: Seconds between two lines of the log.
LOG_EVERY = 15.0
_LINE_OF_TOTAL = (
    "{desc}: {n_fmt}{unit} of {total_fmt}{unit} ({percentage:.0f}%), {rate_fmt}, {remaining} left"
)
_LINE = "{desc}: {n_fmt}{unit}, {rate_fmt}"


class _LogLines(io.StringIO):
    """A file for tqdm: each bar that it writes becomes a line of the log."""

    def write(self, text: str) -> int:
        if line := text.strip("\r\n "):
            log.info("%s", line)
        return len(text)


@contextmanager
def counting(
    what: str, total: int | None, unit: str, start: int = 0
) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts; show how much has come, how fast, and the time that is left.

    ``total`` is the amount at the end, where it is known; ``unit`` such as ``images``, or ``B``.
    """
    options = {"desc": what, "initial": start, "total": total, "leave": False}
    options |= {"unit": "B", "unit_scale": True} if unit == "B" else {"unit": f" {unit}"}
    if sys.stderr.isatty():
        options["dynamic_ncols"] = True
    else:
        options |= {"file": _LogLines(), "bar_format": _LINE_OF_TOTAL if total else _LINE}
        options |= {"mininterval": LOG_EVERY, "maxinterval": LOG_EVERY, "delay": LOG_EVERY}
        options |= {"miniters": 1, "smoothing": 0}
    with tqdm(**options) as bar:
        yield bar.update
