"""An archive from the first of its sources that has it intact."""

import logging
from pathlib import Path

from dmlbench.data.archives import Archive
from dmlbench.data.fetching.fetch import fetch
from dmlbench.data.fetching.lock import locked
from dmlbench.data.fetching.partial import Partial
from dmlbench.data.fetching.patience import Patience
from dmlbench.data.fetching.problems import DiskError, SourceError
from dmlbench.data.verify import NoChecksumError, verify
from dmlbench.errors import DataError

log = logging.getLogger(__name__)

_PATIENCE = Patience()


def download(
    archive: Archive,
    target: Path,
    mirror: str | None = None,
    own: str | None = None,
    patience: Patience = _PATIENCE,
) -> None:
    """Fetch ``archive`` to ``target`` from the first source that has it intact.

    Another process that fetches the same file is waited for.

    Args:
        archive: What to fetch.
        target: Where to put it; an intact file there is kept.
        mirror: The user's folder, or http or file URL, that holds ``<source>/<file>``.
        own: The user's path or URL of this very file, tried before the mirror.
        patience: How long to wait for each source.

    Raises:
        DataError: No source has it intact (names each, what was wrong there, and what to do by
            hand), or it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target):
            _download(archive, target, _sources(archive, mirror, own), patience)
    except OSError as error:
        where = error.filename or target.parent
        raise DataError(f"{where}: {error.strerror}; mend that and run again") from None


def _sources(archive: Archive, mirror: str | None, own: str | None) -> list[str]:
    mirrored = [f"{mirror.rstrip('/')}/{archive.source}/{archive.file}"] if mirror else []
    return [*([own] if own else []), *mirrored, *archive.addresses]


def _download(archive: Archive, target: Path, sources: list[str], patience: Patience) -> None:
    if target.exists():
        try:
            verify(target, archive)
        except NoChecksumError:
            raise
        except DataError as error:
            raise DataError(f"{target.parent}/{error}; delete it and run again") from None
        log.info("%s is there already and intact", target)
        return
    partial = Partial(target, archive.bytes)
    failures: list[str] = []
    if _put_there_whole(archive, partial, sources, failures):
        log.info("%s was whole and is verified", partial.path)
        partial.finish()
        return
    for number, source in enumerate(sources, start=1):
        log.info("fetching %s (%s)", source, archive.described())
        try:
            fetch(source, archive, partial, patience)
        except SourceError as error:
            failures.append(f"{source}: {error}")
            following = f"next is {sources[number]}" if number < len(sources) else "it was the last"
            log.warning("%s: %s; %s", source, error, following)
        except DiskError as error:
            raise DataError(f"{source}: {error}{_kept(partial)}") from None
        except NoChecksumError as error:
            raise DataError(f"{error}{_kept(partial)}") from None
        else:
            partial.finish()
            log.info("%s verified", target)
            return
    raise DataError(_by_hand(archive, target, failures) + _kept(partial))


def _put_there_whole(
    archive: Archive, partial: Partial, sources: list[str], failures: list[str]
) -> bool:
    """Whether the part is all of the archive, as where someone put a copy there by hand.

    What is wrong with it is a failure only where no source could bring the rest.
    """
    size = partial.size()
    cut = archive.bytes is not None and size < archive.bytes and not archive.members_sha256
    if not size or cut or not archive.checksum:
        return False
    try:
        verify(partial.path, archive)
    except DataError as error:
        if not sources:
            failures.append(f"{partial.path}: {error}")
        return False
    return True


def _by_hand(archive: Archive, target: Path, failures: list[str]) -> str:
    """What to do where no source has the archive."""
    tried = "; ".join(failures) or "no public source of it is alive"
    addresses = archive.addresses
    get = f"fetch it by hand from {addresses[0]}" if addresses else "get a copy from elsewhere"
    # Not under the target's own name: after a kill Snakemake takes a file of that name for one
    # half-written, and deletes it.
    return (
        f"{archive.source}/{archive.file} could not be had ({tried}). Next step: {get} "
        f"({archive.described()}) and name its place: "
        f"--config 'data={{files: {{{archive.file}: PATH_OR_URL}}}}', or that of a folder with "
        f"{archive.source}/{archive.file}: --config 'data={{mirror: FOLDER_OR_URL}}'; or put it at "
        f"{target}.part and run again"
    )


def _kept(partial: Partial) -> str:
    if not (size := partial.size()):
        return ""
    return f". {size:,} bytes are kept in {partial.path}; the next run goes on from there"
