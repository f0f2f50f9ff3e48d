"""What a test of downloads asks for, and how it looks at what came."""

import hashlib

import pytest

from dmlbench.config.archive_table import Archive
from dmlbench.data.download import download
from dmlbench.data.http_source import Patience
from dmlbench.errors import UserError

CONTENT = bytes(range(256)) * 2000
QUICK = Patience(wait=0.01, stall=0.3, least=1000)


def archive_of(path, **changes):
    content = path.read_bytes()
    facts = {
        "source": "made",
        "file": path.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "urls": (),
    }
    return Archive(**(facts | changes))


def served(*urls, **changes):
    """The archive ``a.bin`` that holds CONTENT."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    facts = {"source": "made", "file": "a.bin", "bytes": len(CONTENT), "sha256": sha256}
    return Archive(**(facts | {"urls": urls} | changes))


def left(target):
    """The names of all files beside ``target``, but for the lock."""
    return sorted(file.name for file in target.parent.iterdir() if file.suffix != ".lock")


def failure(wanted, target, **options):
    """The one line that a download ends with."""
    with pytest.raises(UserError) as caught:
        download(wanted, target, patience=QUICK, **options)
    assert not target.exists()
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line


def check_done(target):
    assert target.read_bytes() == CONTENT
    assert left(target) == ["a.bin"]
