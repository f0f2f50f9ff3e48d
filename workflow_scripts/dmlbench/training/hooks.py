"""What a training tells the process around it."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path


class Hooks:
    """Where a training saves, when it leaves and whom it tells. This one does nothing."""

    def load(self) -> dict | None:
        """The state to go on from; None to begin."""

    def save_is_due(self) -> bool:
        """Whether it is time to save."""
        return False

    def save(self, state: dict) -> None:
        """Keep ``state``: nested dicts and lists of tensors, numbers and text."""

    def save_diverged(self, state: dict) -> Path | None:
        """Keep the state of a training whose loss is not finite, to be looked at; where."""

    def check(self) -> None:
        """Called after each step; raises LeaveNow where it is time to."""

    def at_once(self) -> AbstractContextManager:
        """While it lasts, :class:`LeaveNow` may come at any moment, as nothing changes."""
        return nullcontext()

    def counting(self, what: str, total: int, first: int) -> AbstractContextManager:
        """Gives a function to call with the number of steps done, for a progress bar."""
        return nullcontext(lambda count: None)

    def epoch_ended(self, history: list[dict]) -> None:
        """Called with a row for each finished epoch."""
