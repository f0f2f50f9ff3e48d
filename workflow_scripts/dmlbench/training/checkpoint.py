"""Checkpoints: everything a training goes on from, in one file."""

import hashlib
import io
import logging
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import torch

from dmlbench.data.disk import disk_full_is_told
from dmlbench.errors import TrainingError
from dmlbench.files import naming, remove_stale, replacing
from dmlbench.training.run_lock import RunLock

log = logging.getLogger(__name__)

#: What to do where a disk is full.
GO_ON = "make room, and run again to go on from the last checkpoint"
_NAMED = 5  #: so many differences are named
_DIGEST = 32  #: bytes at the end of a checkpoint: the SHA-256 of those before


class Checkpoint:
    """The checkpoint of one run.

    Args:
        path: Its file; None keeps none.
        identity: What the run is: its resolved config (``run``), the hashes of its sources
            (``code``) and images (``data``), which must not differ, and the ``machine``, which may.
        every: Seconds between two saves that nobody asked for.
        lock: Asked before each save takes the place of the one before.
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
        return self.path is not None and time.monotonic() - self._saved >= self._every

    def save(self, state: dict) -> None:
        """Write ``state``: nested dicts and lists of tensors, numbers and text.

        A DataError where the disk has no room for it; the one before stays.
        """
        if self.path is None:
            return
        with disk_full_is_told(self.path.parent, GO_ON), replacing(self.path) as temporary:
            with temporary.open("w+b") as file:
                self._write(state, file)
                file.seek(0)
                # PyTorch does not notice a flipped bit.
                file.write(hashlib.file_digest(file, "sha256").digest())
                file.flush()
                os.fsync(file.fileno())  # a machine that loses power must not keep an empty file
            # Last: a shared disk may have been away while this was written.
            if self._lock:
                self._lock.check()
        self._saved = time.monotonic()

    def save_diverged(self, state: dict) -> Path | None:
        """Write ``state`` beside the checkpoint, to be looked at; returns where."""
        if self.path is None:
            return None
        beside = self.path.with_name("diverged.pt")
        with replacing(beside) as temporary, temporary.open("wb") as file:
            self._write(state, file)
        return beside

    def _write(self, state: dict, file: BinaryIO) -> None:
        try:
            torch.save({"identity": self._identity, "state": state}, file)
        except RuntimeError as error:
            # PyTorch hides what the disk said behind an error of its own.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise

    def load(self) -> dict | None:
        """The saved state, if any; a TrainingError where it is damaged or of another training."""
        if self.path is None or not self.path.is_file():
            return None
        anew = f"to train from the start, delete {self.path}"
        with naming(self.path):
            whole = self.path.read_bytes()
        content, digest = whole[:-_DIGEST], whole[-_DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            raise TrainingError(f"{self.path}: a damaged checkpoint; {anew}")
        try:
            saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise TrainingError(f"{self.path}: no checkpoint ({error}); {anew}") from None
        then, now = saved["identity"], self._identity
        for part, what in (("run", "config"), ("code", "code"), ("data", "dataset")):
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
            remove_stale(self.path)
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
