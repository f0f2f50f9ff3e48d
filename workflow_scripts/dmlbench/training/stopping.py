"""Leaving in time: asked by a signal, or by the clock before a scheduler kills the job."""

import logging
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dmlbench.errors import LeaveNow
from dmlbench.workflow.copies import hear_signals, heard
from dmlbench.workflow.slurm import minutes_left

log = logging.getLogger(__name__)

#: Time kept for saving, in seconds; and for what ran before the training, a share of the budget up
#: to so many seconds.
_MARGIN, _SHARE, _MOST = 15.0, 0.05, 300.0


class Stopping:
    """Says whether to leave, and why.

    ``minutes`` is the job's time limit, counted from now; within a Slurm job it is no more than
    Slurm says is left. None for no limit.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self.reason: str | None = None
        self._at_once = False
        self._budget, self._end, self._deadline = minutes_left(minutes), math.inf, math.inf
        if self._budget is not None:
            seconds = 60 * self._budget
            kept = min(_MARGIN, seconds / 4) + min(_SHARE * seconds, _MOST)
            self._end = time.monotonic() + seconds
            self._deadline = self._end - kept

    @property
    def minutes_left(self) -> float | None:
        """What is left of the limit, for a part of the work; None for no limit."""
        return None if self._budget is None else max(self._end - time.monotonic(), 1.0) / 60

    def leave(self, reason: str) -> None:
        """Have the next :meth:`check` raise; from any thread."""
        self.reason = self.reason or reason

    def due(self) -> bool:
        """Whether it is time to leave."""
        if time.monotonic() > self._deadline and not self.reason:
            self.reason = f"the time budget of {self._budget:.3g} minutes is used up"
        return self.reason is not None

    def check(self) -> None:
        """Raise LeaveNow where it is time."""
        if self.due():
            raise LeaveNow(self.reason)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While this lasts, signals ask to leave instead of ending the process."""
        before = {number: signal.signal(number, self._asked) for number in heard()}
        hear_signals()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While this lasts, a signal ends the block at once: it is long, and changes nothing."""
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.reason = self.reason or f"{signal.Signals(number).name} came"
        log.info("%s; saving", self.reason)
        if self._at_once:
            self._at_once = False
            raise LeaveNow(self.reason)
