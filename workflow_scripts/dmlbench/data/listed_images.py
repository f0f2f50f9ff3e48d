"""Images that a text table lists, from the archive that holds them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dmlbench.data.read_archive import read_members
from dmlbench.errors import DataError


def rows_of(text: str, header: str, what: str) -> list[list[str]]:
    """The rows of a table whose columns are apart by spaces and named in its first line.

    Args:
        header: The names of the columns, one space apart.
        what: The table in messages.

    Raises:
        DataError: It has other columns, or a row has more or fewer values.
    """
    first, *rows = [line.split() for line in text.splitlines()] or [[]]
    columns = header.split()
    if first != columns:
        told = f"{' '.join(first):.60}" or "nothing"
        raise DataError(f"{what}: its columns should be '{header}', but there is '{told}'")
    for place, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            told = f"{len(row)} values, should be {len(columns)} ({header})"
            raise DataError(f"{what}: row {place} has {told}")
    return rows


def read_listed(archive: Path, listed: Mapping[str, Any]) -> Iterator[tuple[str, Any, bytes]]:
    """Each image of ``archive`` that is ``listed``, by member: its name, what is listed, content.

    A DataError names the first image that is listed and is not there. Others are left out, such as
    what a desktop adds to a zip.
    """
    missing = set(listed)
    for name, content in read_members(archive, listed.__contains__):
        missing.remove(name)
        yield name, listed[name], content
    if missing:
        raise DataError(
            f"{archive}: {len(missing):,} images that its table lists are not there, such as "
            f"{min(missing)}; the archive is another version or damaged"
        )
