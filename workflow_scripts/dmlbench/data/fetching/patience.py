"""How long a download waits, and how often it tries again."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Times in seconds.

    Attributes:
        tries: Requests in a row that bring nothing new, before a source is given up.
        unreachable: The same where the server does not even answer: it is gone, or there is no
            network.
        resumptions: Requests in all that broke off, whatever they brought, before a source is
            given up: each may bring one byte.
        wait: Time before the second try; it doubles from try to try.
        longest: A wait is never longer, whatever the server asks for.
        connect: Time to connect.
        stall: Time without a byte.
        slowest: Bytes a second; a connection that brings less over a minute (``window``) is cut.
        window: See ``slowest``.
    """

    tries: int = 4
    unreachable: int = 2
    resumptions: int = 200
    wait: float = 1.0
    longest: float = 60.0
    connect: float = 20.0
    stall: float = 60.0
    slowest: float = 500.0
    window: float = 60.0

    def before(self, attempt: int) -> float:
        """The wait before try number ``attempt``, from 1 for the first repetition."""
        return min(self.wait * 2 ** (attempt - 1), self.longest)
