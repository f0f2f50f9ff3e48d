"""Is this file the archive it should be?"""

import hashlib
import zipfile
from pathlib import Path

from dmlbench.data.archives import Archive
from dmlbench.errors import DataError


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def members_sha256(path: Path) -> str:
    """The SHA-256 over the sorted names and contents of a zip's files.

    It does not depend on order, compression or time stamps, so it is the same for an archive
    that a mirror packed anew.
    """
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/"):
                digest.update(name.encode() + b"\0")
                digest.update(hashlib.sha256(archive.read(name)).digest())
    return digest.hexdigest()


def verify(path: Path, archive: Archive) -> None:
    """Check that ``path`` is ``archive``, itself or with the same members packed anew.

    Raises:
        DataError: It is something else.
    """
    actual = sha256_of(path)
    if actual == archive.sha256:
        return
    if archive.members_sha256 and zipfile.is_zipfile(path):
        try:
            if members_sha256(path) == archive.members_sha256:
                return
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise DataError(f"{archive.file}: a damaged zip ({error})") from None
    size = path.stat().st_size
    raise DataError(
        f"{archive.file}: wrong checksum: sha256 is {actual[:16]}… with {size:,} bytes, "
        f"should be {archive.sha256[:16]}… with {archive.bytes:,}"
    )
