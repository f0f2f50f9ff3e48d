"""Times of files that a wrong clock has left in the future.

Snakemake makes a file again that is older than what it was made from. So what is made now, with the
clock put right, from a file of the future would be made again by each call until that time comes.
"""

import os
import time
from collections.abc import Callable

from snakemake.persistence import MetadataRecord

#: Seconds between two times that are kept apart.
_STEP = 1e-6
#: By the clock that nobody sets: when this process last looked.
_LOOKED: list[float] = []


def bring_back(
    records: dict[str, MetadataRecord | None],
    origins: dict[str, dict],
    set_time: Callable[[str, float], None],
) -> dict[str, MetadataRecord]:
    """Give files of the future the time of now, or of this process's last look, in their order.

    What this process has made since its last look is younger, whatever the clock said meanwhile.

    Args:
        records: Snakemake's record of each file, whose time goes along.
        origins: What came along (:mod:`dmlbench.workflow.file_records`), whose times go along.
        set_time: Sets the time of a file.

    Returns:
        The records that are other ones now, by file.
    """
    now, since = time.time(), time.monotonic()
    times = {file: os.lstat(file).st_mtime for file in records}
    future = sorted({when for when in times.values() if when > now})
    began = now - (since - _LOOKED[-1]) if _LOOKED else now
    _LOOKED[:] = [since]
    new = {when: began + rank * _STEP for rank, when in enumerate(future)}
    changed = {}
    for file in [file for file, when in times.items() if when in new]:
        was, becomes = times[file], new[times[file]]
        set_time(file, becomes)
        becomes = os.lstat(file).st_mtime  # as the disk keeps it
        record, origin = records[file], origins.get(file)
        if record and record.endtime == was:
            changed[file] = record.model_copy(update={"endtime": becomes})
        if origin and origin["time"] == was:
            known = origin["record"] and origin["record"] | {"endtime": becomes}
            origins[file] = origin | {"time": becomes, "record": known}
    return changed
