"""An archive, fetched from the first of its sources that has it intact."""

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from dmlbench.config.archive_table import Archive
from dmlbench.data.http_source import HttpSource, Patience, SourceError, size_of
from dmlbench.data.read_archive import read_members
from dmlbench.errors import DataError, UserError
from dmlbench.files import NO_LOCKS, checksum_of, local_path

log = logging.getLogger(__name__)


class NoChecksumError(UserError):
    """Nobody has said what this file should be."""


def download(
    archive: Archive,
    target: Path,
    mirror: str | None = None,
    own: str | None = None,
    patience: Patience = Patience(),  # noqa: B008
) -> None:
    """Fetch ``archive`` to ``target`` from the first source that has it intact.

    An intact file there is kept; a process that fetches the same file is waited for. What is here
    so far lies beside the target, in a file that ends in ``.part``.

    Args:
        mirror: The user's folder, or http or file URL, that holds ``<source>/<file>``.
        own: The user's path or URL of this very file, tried before the mirror.

    Raises:
        DataError: No source has it intact (the message says what was wrong with each, and what to
            do by hand), or it cannot be written.
        NoChecksumError: Nothing says whether it is the right one.
    """
    mirrored = [f"{mirror.rstrip('/')}/{archive.source}/{archive.file}"] if mirror else []
    sources = [*([own] if own else []), *mirrored, *archive.addresses]
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if target.exists():
                try:
                    verify(target, archive)
                except DataError as error:
                    raise DataError(f"{target.parent}/{error}; delete it and run again") from None
                log.info("%s is there already and intact", target)
            else:
                _fill(part, archive, target, sources, patience)
                part.replace(target)
                log.info("%s verified", target)
    except OSError as error:
        where = error.filename or target.parent
        raise DataError(
            f"{where}: {error.strerror}; mend that and run again{_kept(part)}"
        ) from None


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
            f"'data={{checksums: {{{archive.file}: {checksum_of(path)}}}}}'"
        )
    method, expected = archive.checksum
    actual = checksum_of(path, method)
    if actual == expected:
        return
    should = f"{expected[:16]}…" + ("" if archive.bytes is None else f" with {archive.bytes:,}")
    wrong = (
        f"{archive.file}: wrong checksum: {method} is {actual[:16]}… with "
        f"{path.stat().st_size:,} bytes, should be {should}"
    )
    if archive.members_sha256:
        try:
            if members_sha256(path) == archive.members_sha256:
                return
        except DataError as error:
            wrong += f"; nor the same members packed anew ({error})"
    raise DataError(wrong)


def members_sha256(path: Path) -> str:
    """The SHA-256 over the sorted names and contents of an archive's files.

    An archive that a mirror has packed anew has the same one; a damaged or unsafe one raises.
    """
    contents = {name: hashlib.sha256(content).digest() for name, content in read_members(path)}
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(name.encode() + b"\0" + contents[name])
    return digest.hexdigest()


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the download lock of ``target``, which ends with its process; wait for another's."""
    download_lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        download_lock.acquire(timeout=0)
    except Timeout:
        log.info("another process is fetching %s; waiting", target)
        download_lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        log.warning("%s: this file system has no locks; fetch one at a time", target)
    try:
        yield
    finally:
        download_lock.release()


def _fill(
    part: Path, archive: Archive, target: Path, sources: list[str], patience: Patience
) -> None:
    """Make ``part`` the verified archive."""
    failures, size = [], size_of(part)
    short = archive.bytes is not None and size < archive.bytes and not archive.members_sha256
    if size and archive.checksum and not short:  # perhaps whole: a copy that was put there by hand
        try:
            return verify(part, archive)
        except DataError as error:
            if not sources:  # that could bring the rest
                failures.append(f"{part}: {error}")
    missing = (archive.bytes or 0) - size
    if missing > (free := shutil.disk_usage(part.parent).free):
        told = f"{os.strerror(errno.ENOSPC)}: {free:,} bytes are free, {missing:,} are missing"
        raise OSError(errno.ENOSPC, told)
    for source in sources:
        log.info("fetching %s (%s)", source, archive.described())
        try:
            return _fetch(source, archive, part, patience)
        except SourceError as error:
            failures.append(f"{source}: {error}")
            log.warning("%s", failures[-1])
    raise DataError(_by_hand(archive, target, failures) + _kept(part))


def _fetch(source: str, archive: Archive, part: Path, patience: Patience) -> None:
    """Bring ``archive`` from ``source`` into ``part`` and verify it."""
    before = size_of(part)
    resumed = _bring(source, archive, part, patience) and before > 0
    try:
        verify(part, archive)
    except DataError as error:
        part.unlink()
        if not resumed:
            raise SourceError(str(error).replace(str(part), archive.file)) from None
        log.warning("%s: what was here did not belong to it; from the start again", source)
        _fetch(source, archive, part, patience)


def _bring(source: str, archive: Archive, part: Path, patience: Patience) -> bool:
    """Fill ``part``; return whether bytes that were there before may be among its bytes."""
    try:
        url = urlsplit(source)
    except ValueError as error:
        raise SourceError(f"not an address ({error})") from None
    if url.scheme in ("http", "https"):
        HttpSource(source, archive, part, patience).fetch()
        return True
    if url.scheme not in ("file", ""):
        raise SourceError(f"cannot fetch {url.scheme}:// addresses, only http, https and file")
    path = local_path(unquote(url.path) if url.scheme else source)
    if not path.is_file():
        raise SourceError("is a folder" if path.is_dir() else "no such file")
    if part.exists() and path.samefile(part):  # put there by hand
        return False
    with path.open("rb") as stream, part.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return False


def _by_hand(archive: Archive, target: Path, failures: list[str]) -> str:
    """What to do where no source has the archive."""
    tried = "; ".join(failures) or "no public source of it is alive"
    addresses = archive.addresses
    place = addresses[0] if addresses else archive.where
    get = f"fetch it by hand from {place}" if place else "get a copy from elsewhere"
    # Not under the target's own name: after a kill, Snakemake takes a file of that name for a
    # half-written output and deletes it.
    return (
        f"{archive.source}/{archive.file} could not be had ({tried}). Next step: {get} "
        f"({archive.described()}) and name its place: "
        f"--config 'data={{files: {{{archive.file}: PATH_OR_URL}}}}', or that of a folder with "
        f"{archive.source}/{archive.file}: --config 'data={{mirror: FOLDER_OR_URL}}'; or put it at "
        f"{target}.part and run again"
    )


def _kept(part: Path) -> str:
    size = size_of(part)
    return f". {size:,} bytes are kept in {part}; the next run goes on from there" if size else ""
