"""Room on the disk: told before a store is written, and where it runs out."""

import errno
import logging
import math
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from dmlbench.data.dataset import Dataset, Record
from dmlbench.data.decode import CHANNELS, STORES, image_size, stored_size
from dmlbench.errors import DataError

log = logging.getLogger(__name__)

_NO_ROOM = {
    errno.ENOSPC: "no room left on the disk",
    errno.EDQUOT: "no room left in your quota of the disk",
    errno.EFBIG: "a file may not be as large as the store (see `ulimit -f`, and the file system)",
}


def refuse_full_disk(
    dataset: type[Dataset], store: str, folder: Path, first: Collection[Record], total: int | None
) -> None:
    """Say how large a store will be, and refuse where it does not fit.

    Args:
        dataset: What is prepared.
        store: Which pixels of it, one of :data:`dmlbench.data.decode.STORES`.
        folder: Where the store will lie; it exists.
        first: Some of its images, to estimate the mean size from.
        total: How many images there will be; None where that is not known.

    Raises:
        DataError: The disk has less room than the estimate, or an image cannot be read.
    """
    if not first or total is None:
        return
    free, what = shutil.disk_usage(folder).free, f"{dataset.name}/{store}"
    sizes = []
    for record in first:
        image = record.image
        whole = image_size(image, f"{dataset.name}: {record.path}", dataset.damaged_image)
        channels = CHANNELS[dataset.facts.mode] if isinstance(image, bytes) else image.shape[2]
        sizes.append(math.prod(stored_size(*whole, STORES[store])) * channels)
    size = sum(sizes) * total // len(sizes)
    text = f"{'' if len(set(sizes)) == 1 else 'about '}{_size(size)}"
    if size > free:
        raise DataError(
            f"{what}: the store takes {text}, but {folder} has only {_size(free)} free; make room "
            "or put the folder on another disk (a link will do)"
        )
    told = f"the store will take {text} of disk, {_size(free)} are free"
    log.info("%s: %s", what, told, extra={"tell": True})


@contextmanager
def disk_full_is_told(folder: Path) -> Iterator[None]:
    """Raise a DataError where the disk is full after all."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        reason = f"{_NO_ROOM[error.errno]}; nothing half-written stays"
        raise DataError(f"{folder}: {reason}") from None


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
