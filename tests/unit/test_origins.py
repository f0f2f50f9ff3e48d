"""Which record and which time a file gets, by what came along with the results."""

import os
import shutil
from pathlib import Path

import pytest
from snakemake.persistence import MetadataRecord
from snakemake.persistence.file import FilePersistence

from dmlbench.errors import DataError
from dmlbench.workflow.file_records import UNKNOWN, altered, settle

ARCHIVE = "data/raw/mnist/some.gz"
INDEX = "data/prepared/mnist/original/index.parquet"
WEIGHTS = "results/tiny/runs/mnist/r/l/s/seed0/model_last.safetensors"
ORIGINS = Path("results/tiny/origins.json.gz")
INPUTS = {ARCHIVE: [], INDEX: [ARCHIVE], WEIGHTS: [INDEX]}


def make(file: str, content: str, time: float, **facts) -> None:
    """As a Snakemake job would: the file, and the record of it."""
    os.makedirs(os.path.dirname(file), exist_ok=True)
    with open(file, "w") as stream:
        stream.write(content)
    os.utime(file, (time, time))
    standard = {"rule": "some", "params": ["p"], "record_format_version": 6, "starttime": time - 1}
    record = MetadataRecord(**standard | facts, endtime=time, input=INPUTS[file])
    FilePersistence()._write_record(file, record)


def record(file: str) -> MetadataRecord:
    return FilePersistence()._read_record(file)


def settled() -> dict[str, float]:
    settle(ORIGINS, filter(os.path.exists, [INDEX, WEIGHTS]), [ARCHIVE])
    return {f: os.stat(f).st_mtime for f in INPUTS if os.path.exists(f)}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """All files, made one after the other, and their origins."""
    monkeypatch.chdir(tmp_path)
    for time, file in enumerate(INPUTS, start=1000):
        make(file, file, time)
    assert settled() == dict(zip(INPUTS, (1000, 1001, 1002), strict=True))
    os.utime(ORIGINS, (2000, 2000))


def test_what_a_record_of_our_own_vouches_for_is_not_out_of_date(made):
    make(WEIGHTS, "trained after Snakemake was killed", 3000)
    FilePersistence()._delete_record(WEIGHTS)
    settle(ORIGINS, [INDEX, WEIGHTS], [ARCHIVE], {WEIGHTS}.__contains__)
    assert record(WEIGHTS) is None
    settled()  # nobody vouches
    assert record(WEIGHTS).params == [UNKNOWN]
    settle(ORIGINS, [INDEX, WEIGHTS], [ARCHIVE], {WEIGHTS}.__contains__)
    assert record(WEIGHTS) is None


def test_a_table_altered_by_hand_is_named(made, monkeypatch):
    """Also with its time kept, and in a folder that lies elsewhere now."""
    table = Path("results/tiny/tables/letters.csv")
    monkeypatch.setitem(INPUTS, str(table), [WEIGHTS])
    make(str(table), "83.3", 1003)
    settle(ORIGINS, [str(table), WEIGHTS], [])
    folder = Path("results/tiny").rename("elsewhere")
    assert altered(folder, "tiny") == []
    table = folder / "tables" / table.name
    table.write_text("85.3")
    os.utime(table, (1003, 1003))
    assert altered(folder, "tiny") == [table]


@pytest.mark.parametrize("file", [WEIGHTS, ARCHIVE])
@pytest.mark.parametrize("locked", [False, True])
def test_what_an_interrupted_job_left_is_made_anew_without_a_question(made, capsys, locked, file):
    """Ctrl-C, then the same command: Snakemake raised IncompleteFilesException."""
    snakemake = FilePersistence()
    make(file, "the first epochs", 3000)
    FilePersistence()._delete_record(file)
    snakemake._mark_incomplete(file, None)
    if locked:
        snakemake._write_locks("output", [file])
    settled()
    asks = bool(FilePersistence()._filter_incomplete_keys([file]))
    assert asks == locked
    if not asks and file == WEIGHTS:  # whoever reads an archive verifies it
        assert record(file).params == [UNKNOWN]
    assert capsys.readouterr().err == ""


def origins() -> bytes:
    return ORIGINS.read_bytes()


def test_pulled_files_get_their_records_and_times(made):
    before, was = origins(), record(WEIGHTS)
    shutil.rmtree(".snakemake")
    for file in INPUTS:
        os.utime(file, (5000, 5000))
    assert list(settled().values()) == [1000, 1001, 1002]
    assert record(WEIGHTS) == was
    assert origins() == before


def test_other_content_is_of_unknown_origin(made, capsys):
    for file in (INDEX, WEIGHTS):
        with open(file, "w") as stream:
            stream.write("something else")
    settled()
    for file in (INDEX, WEIGHTS):
        assert record(file).params == [UNKNOWN]
        assert isinstance(record(file).rule, str), "Snakemake's report sorts records by it"
    assert UNKNOWN in capsys.readouterr().err
    settled()
    assert UNKNOWN in capsys.readouterr().err  # as long as it is so


def test_without_origins_only_snakemake_s_records_count(made):
    ORIGINS.unlink()
    settled()
    assert record(WEIGHTS).params == ["p"]
    ORIGINS.unlink()
    shutil.rmtree(".snakemake")
    settled()
    assert record(WEIGHTS).params == [UNKNOWN]
    assert record(ARCHIVE) is None  # it is verified when it is read


def test_what_is_made_again_alike_keeps_its_time_and_what_is_not_does_not(made):
    make(INDEX, INDEX, 3000, params=["q"], job_hash=7)
    assert settled()[INDEX] == 1001
    assert record(INDEX).params == ["q"]
    assert record(INDEX).endtime == 1001
    make(INDEX, "another", 3000)
    assert settled()[INDEX] == 3000
    assert record(INDEX).endtime == 3000


def test_older_results_that_are_checked_out_bring_their_records(made):
    before = origins()
    make(INDEX, INDEX, 3000, params=["q"])
    settled()
    assert record(INDEX).params == ["q"]
    ORIGINS.write_bytes(before)
    settled()
    assert record(INDEX).params == ["p"]


def test_what_is_made_again_alike_from_something_new_is_not_older_than_that(made):
    make(INDEX, "another", 3000)
    make(WEIGHTS, WEIGHTS, 3001)
    assert settled() == {ARCHIVE: 1000, INDEX: 3000, WEIGHTS: 3001}


def test_a_spoilt_archive_changes_nothing_that_is_known(made):
    before = origins()
    with open(ARCHIVE, "w") as stream:
        stream.write("spoilt")
    settled()
    assert origins() == before
    make(ARCHIVE, ARCHIVE, 4000)
    assert settled()[ARCHIVE] == 1000


def test_a_file_that_a_job_is_making_is_let_be(made):
    FilePersistence()._mark_incomplete(WEIGHTS, None)
    FilePersistence()._write_locks("output", [WEIGHTS])
    with open(WEIGHTS, "w") as stream:
        stream.write("half of")
    time = os.stat(WEIGHTS).st_mtime
    assert settled()[WEIGHTS] == time
    assert record(WEIGHTS).params == ["p"]


def test_damaged_origins_are_one_line(made):
    ORIGINS.write_bytes(b"no gzip")
    with pytest.raises(
        DataError, match=r"origins.json.gz: damaged .*; delete it, or pull it again"
    ):
        settled()
