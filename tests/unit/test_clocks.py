"""Files that a clock which was ahead left in the future: none is made again for its time."""

import gzip
import json
import os
import time
from pathlib import Path

import pytest
from snakemake.persistence import MetadataRecord
from snakemake.persistence.file import FilePersistence

from dmlbench.workflow import clocks
from dmlbench.workflow.file_records import settle

ORIGINS = Path("results/tiny/origins.json.gz")
#: Each made from the one before.
INDEX, WEIGHTS, EMBEDDINGS = FILES = ("index", "weights", "embeddings")
AHEAD = 86400


def make(file, when):
    """As a job does by a clock that says ``when``."""
    before = [FILES[FILES.index(file) - 1]] if file != INDEX else []
    Path(file).write_text(f"{file} {when}")
    os.utime(file, (when, when))
    end = os.stat(file).st_mtime
    record = MetadataRecord(
        rule="some", params=["p"], record_format_version=6, starttime=end - 1, endtime=end,
        input=before,
    )  # fmt: skip
    FilePersistence()._write_record(file, record)


def settled():
    """The times of the files that are here."""
    settle(ORIGINS, filter(os.path.exists, FILES), [])
    return [os.stat(file).st_mtime for file in FILES if os.path.exists(file)]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clocks, "_LOOKED", [])  # a process of its own


def check_known(capsys):
    """All records and origins are those of the files, as they are."""
    for file in filter(os.path.exists, FILES):
        record = FilePersistence()._read_record(file)
        assert (record.params, record.endtime) == (["p"], os.stat(file).st_mtime)
    before = ORIGINS.read_bytes()
    times = settled()
    assert settled() == times
    assert ORIGINS.read_bytes() == before
    assert capsys.readouterr().err == ""


def set_clock_back():
    """All that was written goes into the future: files, Snakemake's records and what came along."""
    known = json.loads(gzip.decompress(ORIGINS.read_bytes()))
    for file in filter(os.path.exists, FILES):
        ahead = os.stat(file).st_mtime + AHEAD
        os.utime(file, (ahead, ahead))
        ahead = os.stat(file).st_mtime
        record = FilePersistence()._read_record(file).model_copy(update={"endtime": ahead})
        FilePersistence()._write_record(file, record)
        known[file] |= {"time": ahead, "record": record.model_dump()}
    ORIGINS.write_bytes(gzip.compress(json.dumps(known).encode()))


def test_what_a_clock_ahead_made_is_older_than_what_is_made_next(capsys):
    """It was set right between two calls."""
    now = time.time()
    make(INDEX, now - 1)
    settled()
    set_clock_back()
    (index,) = settled()
    assert now <= index <= time.time()
    make(WEIGHTS, time.time())
    index, weights = settled()
    assert index <= weights
    check_known(capsys)


def test_what_a_call_makes_after_the_clock_was_set_back_is_younger(capsys):
    """It was set right while Snakemake ran."""
    settled()
    make(INDEX, time.time() + AHEAD)
    make(WEIGHTS, time.time())
    index, weights = settled()
    assert index <= weights
    check_known(capsys)


def test_files_of_the_future_keep_their_order(capsys):
    now = time.time()
    for file, ahead in ((INDEX, 3), (WEIGHTS, 1), (EMBEDDINGS, 1)):
        make(file, now + AHEAD + ahead)
    index, weights, embeddings = settled()
    assert weights == embeddings < index <= time.time() + 1, "the weights are out of date"
    check_known(capsys)


def test_what_was_out_of_date_before_a_call_stays_so(capsys):
    make(WEIGHTS, time.time() - 5)
    settled()
    make(INDEX, time.time() + AHEAD)
    index, weights = settled()
    assert weights < index
    check_known(capsys)
