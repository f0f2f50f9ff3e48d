"""Work done ahead by threads, in order and in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def look_ahead(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """``function(item)`` of each item, in order; several are computed at a time.

    At most ``threads + 1`` items are taken from ``items`` beyond the result that was asked for, so
    that memory does not grow with their number. ``items`` is only ever read by the caller's thread.
    Threads are enough: Pillow, hashing and PyTorch let go of the interpreter while they work.

    Raises:
        Whatever ``items`` or ``function`` raise, at the item's turn; the rest is not begun.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="look-ahead")
    waiting: deque[Future[R]] = deque()
    try:
        for item in source:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
