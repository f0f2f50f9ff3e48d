"""Fetching archives: the user's mirror first, then upstream; verified before they are named."""

import logging
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pooch
import requests

from dmlbench.data.archives import Archive
from dmlbench.data.verify import verify
from dmlbench.errors import DataError
from dmlbench.files import replacing

log = logging.getLogger(__name__)


def download(archive: Archive, target: Path, mirror: str | None = None) -> None:
    """Fetch ``archive`` to ``target`` from the first place that has it intact.

    Args:
        archive: What to fetch.
        target: Where to put it; an intact file there is kept.
        mirror: A folder, or an http or file URL, that holds ``<source>/<file>``.

    Raises:
        DataError: No place has it intact; names each place and what was wrong there.
    """
    if target.exists():
        try:
            verify(target, archive)
        except DataError as error:
            raise DataError(f"{target.parent}/{error}; delete it and run again") from None
        log.info("%s is there already and intact", target)
        return
    failures = []
    for place in _places(archive, mirror):
        try:
            with replacing(target) as temporary:
                log.info("fetching %s", place)
                _fetch(place, temporary)
                verify(temporary, archive)
        except (DataError, OSError, requests.RequestException) as error:
            failures.append(f"{place}: {error}")
            log.warning("not from there: %s", error)
        else:
            log.info("%s verified", target)
            return
    raise DataError(
        f"{archive.source}/{archive.file} could not be had ({'; '.join(failures)}). "
        f"Put the file at {target} by hand (sha256 {archive.sha256}), or name a mirror: "
        "--config 'data={mirror: FOLDER_OR_URL}'"
    )


def _places(archive: Archive, mirror: str | None) -> list[str]:
    folders = [f"{mirror.rstrip('/')}/{archive.source}/"] if mirror else []
    return [folder + archive.file for folder in (*folders, *archive.urls)]


def _fetch(place: str, target: Path) -> None:
    """Copy a local path, or stream a URL, into ``target``."""
    url = urlsplit(place)
    if url.scheme in ("http", "https"):
        pooch.HTTPDownloader(progressbar=False, timeout=60)(place, str(target), None)
    elif url.scheme in ("file", ""):
        path = Path(unquote(url.path))
        if not path.is_file():
            raise DataError("no such file")
        shutil.copyfile(path, target)
    else:
        raise DataError(f"cannot fetch {url.scheme}:// addresses")
