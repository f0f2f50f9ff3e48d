"""Whether a file is the archive that it is taken for."""

import hashlib
from pathlib import Path

from dmlbench.config.archive_table import Archive
from dmlbench.data.read_archive import read_members
from dmlbench.errors import DataError, UserError
from dmlbench.files import checksum_of


class NoChecksumError(UserError):
    """Nobody has said what this file should be."""


def members_sha256(path: Path) -> str:
    """The SHA-256 over the sorted names and contents of an archive's files.

    It does not depend on order, compression, container or time stamps, so it is the same for an
    archive that a mirror packed anew.

    Raises:
        DataError: It is damaged or unsafe.
    """
    contents = {name: hashlib.sha256(content).digest() for name, content in read_members(path)}
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(name.encode() + b"\0" + contents[name])
    return digest.hexdigest()


def verify(path: Path, archive: Archive) -> None:
    """Check that ``path`` is ``archive``, itself or with the same members packed anew.

    Raises:
        NoChecksumError: There is nothing to hold it against; the message says how to pin it.
        DataError: It is something else.
    """
    if archive.checksum is None:
        raise NoChecksumError(
            f"{archive.file}: nobody has published a checksum of it, so it is not taken for what "
            f"its name says; this copy has {path.stat().st_size:,} bytes. If you know that it is "
            "the right one, pin it and run again: --config "
            f"'data={{checksums: {{{archive.file}: {checksum_of(path, 'sha256')}}}}}'"
        )
    method, expected = archive.checksum
    actual = checksum_of(path, method)
    if actual == expected:
        return
    size = path.stat().st_size
    should = f"{expected[:16]}…" + ("" if archive.bytes is None else f" with {archive.bytes:,}")
    wrong = (
        f"{archive.file}: wrong checksum: {method} is {actual[:16]}… with {size:,} bytes, "
        f"should be {should}"
    )
    if archive.members_sha256:
        try:
            if members_sha256(path) == archive.members_sha256:
                return
        except DataError as error:
            wrong += f"; nor the same members packed anew ({error})"
    raise DataError(wrong)
