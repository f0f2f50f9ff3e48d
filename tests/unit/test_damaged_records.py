"""Snakemake's records of files, damaged in each way: it goes on, and takes nothing for made."""

import json
import os
import shutil
from pathlib import Path

import pytest
from snakemake.persistence import MetadataRecord
from snakemake.persistence.file import FilePersistence

from dmlbench.workflow import at_work
from dmlbench.workflow.file_records import UNKNOWN, settle

WEIGHTS = "results/tiny/runs/mnist/r/l/s/seed0/model_last.safetensors"
ORIGINS = Path("results/tiny/origins.json.gz")
RECORDS, MARKS = Path(".snakemake/metadata"), Path(".snakemake/incomplete")

DAMAGES = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "cut a little": lambda whole: whole[:-1],
    "emptied": lambda whole: b"",
    "zeros": lambda whole: bytes(len(whole)),
    "bytes that are no text": lambda whole: b"\xff\xfe" + whole,
    "a list": lambda whole: b"[" + whole + b"]",
    "a number": lambda whole: b"3",
    "other types": lambda whole: json.dumps(json.loads(whole) | {"params": 3}).encode(),
    "other keys": lambda whole: b'{"of": "somebody else"}',
    "another parameter": lambda whole: whole.replace(b'"p"', b'"q"'),
    "another time": lambda whole: whole.replace(b"1000", b"1001"),
}


def settled():
    """As the next Snakemake does it, whose records it returns."""
    settle(ORIGINS, [WEIGHTS], [])
    return FilePersistence()._read_record(WEIGHTS)


def record_file() -> Path:
    return Path(FilePersistence()._record_path(str(RECORDS), WEIGHTS))


@pytest.fixture
def made(tmp_path, monkeypatch) -> MetadataRecord:
    """A file with its record and its origin."""
    monkeypatch.chdir(tmp_path)
    Path(WEIGHTS).parent.mkdir(parents=True)
    Path(WEIGHTS).write_text("weights")
    os.utime(WEIGHTS, (1000, 1000))
    record = MetadataRecord(
        rule="train", params=["p"], record_format_version=6, starttime=999, endtime=1000, input=[]
    )
    FilePersistence()._write_record(WEIGHTS, record)
    assert settled() == record
    return record


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_put_right_by_what_came_along(made, damage):
    record_file().write_bytes(DAMAGES[damage](record_file().read_bytes()))
    assert settled() == made


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d != "another parameter"])
def test_without_what_came_along_a_damaged_record_says_nothing(made, damage):
    ORIGINS.unlink()
    record_file().write_bytes(DAMAGES[damage](record_file().read_bytes()))
    assert settled().params == [UNKNOWN]


def test_records_that_snakemake_would_end_at_are_told_in_one_line(made, capsys):
    record_file().write_bytes(b"\xff")
    settled()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f".snakemake: 1 damaged records are removed, such as that of {WEIGHTS};")


def test_without_the_folder_of_marks_no_damaged_record_is_read(made):
    record_file().with_name("of-no-output").write_bytes(b"\xff")
    shutil.rmtree(MARKS)
    assert settled() == made


def test_rubbish_beside_the_names_of_snakemakes_is_let_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(at_work, "_OWN", [])
    at_work.FOLDER.mkdir(parents=True)
    (at_work.FOLDER / "rubbish.lock").write_bytes(b"\xff")
    assert at_work.begin("tiny") == []
