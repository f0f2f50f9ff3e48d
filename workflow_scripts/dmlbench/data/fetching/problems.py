"""What can go wrong with one source."""

from dmlbench.errors import DataError


class SourceError(DataError):
    """This source does not have the archive; the next one may."""


class Interrupted(SourceError):
    """This request failed; the next one may go on where it stopped.

    Attributes:
        unreachable: There was no answer at all.
        wait: Seconds that the server asks to wait.
    """

    def __init__(self, message: str, *, unreachable: bool = False, wait: float = 0) -> None:
        super().__init__(message)
        self.unreachable = unreachable
        self.wait = wait


class DiskError(DataError):
    """The archive cannot be written here; no other source would help."""
