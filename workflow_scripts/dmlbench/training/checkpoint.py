"""Checkpoints: everything a training goes on from, in one file."""

import logging
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from dmlbench.errors import TrainingError
from dmlbench.files import replacing
from dmlbench.training.lock import RunLock

log = logging.getLogger(__name__)

#: Named at most, of what differs.
_NAMED = 5


class Checkpoint:
    """The checkpoint of one run.

    Args:
        path: Its file; None keeps none.
        identity: What the run is: its resolved config (``run``), the hash of every source file it
            depends on (``code``), both refused if they differ, and the ``machine``, of which a
            change is only told.
        every: Seconds between two saves that nobody asked for.
        lock: Asked before each save.
    """

    def __init__(
        self,
        path: Path | None,
        identity: dict | None = None,
        every: float = 300.0,
        lock: RunLock | None = None,
    ) -> None:
        self.path = path
        self._identity = identity or {}
        self._every = every
        self._lock = lock
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for a save."""
        return self.path is not None and time.monotonic() - self._saved >= self._every

    def save(self, state: dict) -> None:
        """Write ``state``: nested dicts and lists of tensors, numbers and text."""
        if self.path is None:
            return
        if self._lock:
            self._lock.check()
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            torch.save({"identity": self._identity, "state": state}, file)
            file.flush()
            os.fsync(file.fileno())  # a machine that loses power must not keep an empty file
        self._saved = time.monotonic()

    def save_beside(self, name: str, state: dict) -> Path | None:
        """Write ``state`` as ``name`` beside the checkpoint, to be looked at; returns where."""
        if self.path is None:
            return None
        beside = self.path.with_name(f"{name}.pt")
        with replacing(beside) as temporary:
            torch.save({"identity": self._identity, "state": state}, temporary)
        return beside

    def load(self) -> dict | None:
        """The saved state; None where there is none.

        Raises:
            TrainingError: It is damaged, or of another config or code, with what differs.
        """
        if self.path is None or not self.path.is_file():
            return None
        anew = f"to train from the start, delete {self.path}"
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            text = str(error).partition("\n")[0]
            raise TrainingError(f"{self.path}: a damaged checkpoint ({text}); {anew}") from None
        then, now = saved["identity"], self._identity
        for part, what in (("run", "config"), ("code", "code")):
            if found := list(_differences(then.get(part), now.get(part))):
                more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
                raise TrainingError(
                    f"{self.path}: a checkpoint of another {what}: {'; '.join(found[:_NAMED])}"
                    f"{more}; go back to that, or, {anew}"
                )
        if found := list(_differences(then.get("machine"), now.get("machine"))):
            log.warning(
                "goes on on another machine or with other packages (%s): the last digits will "
                "not be those of a training that was never interrupted",
                "; ".join(found),
            )
        return saved["state"]

    def discard(self) -> None:
        """The run is finished."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _differences(then: object, now: object, where: str = "") -> Iterator[str]:
    """Where two nested dicts differ, in words."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}, key=str):
            inner = f"{where}.{key}" if where else str(key)
            yield from _differences(then.get(key), now.get(key), inner)
    elif then != now:
        short = len(repr(then)) < 40 and len(repr(now)) < 40
        yield f"{where} was {then!r}, is {now!r}" if short else f"{where} has changed"
