"""Fetching archives from folders, and from servers good and bad."""

import errno
import hashlib
import json
import logging
import os
import subprocess
import sys
import threading

import pytest
from conftest import SCRIPTS
from file_server import serving

from dmlbench.data import progress
from dmlbench.data.archives import Archive
from dmlbench.data.download import Patience, download, partial, request
from dmlbench.errors import DataError

CONTENT = bytes(range(256)) * 2000
QUICK = Patience(wait=0.01, stall=0.3, connect=1)


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


@pytest.fixture
def mirror(tmp_path):
    file = tmp_path / "mirror" / "made" / "a.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"real bytes")
    return file


@pytest.fixture
def server():
    with serving(CONTENT) as running:
        yield running


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "a.bin"


def left(target):
    """The names of all files beside ``target``."""
    return sorted(file.name for file in target.parent.iterdir())


def failure(wanted, target, **options):
    """The one line that a download ends with."""
    with pytest.raises(DataError) as caught:
        download(wanted, target, patience=QUICK, **options)
    assert not target.exists()
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line


def check_done(target):
    assert target.read_bytes() == CONTENT
    assert left(target) == ["a.bin"]


# Folders


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_download_from_a_folder_or_file_url(tmp_path, mirror, scheme):
    target = tmp_path / "raw" / "a.bin"
    download(archive_of(mirror), target, f"{scheme}{tmp_path}/mirror")
    assert target.read_bytes() == b"real bytes"


def test_the_users_own_file_comes_before_the_mirror(tmp_path, mirror, target, caplog):
    own = tmp_path / "my copy.bin"
    own.write_bytes(mirror.read_bytes())
    with caplog.at_level(logging.INFO, "dmlbench"):
        download(archive_of(mirror), target, str(tmp_path / "mirror"), str(own))
    assert f"fetching {own}" in caplog.text
    assert str(mirror) not in caplog.text


def test_download_goes_on_to_the_next_place(tmp_path, mirror, target):
    wanted = archive_of(mirror, urls=(f"file://{mirror.parent}/",))
    download(wanted, target, str(tmp_path / "nowhere"), str(tmp_path))
    assert target.exists()


def test_a_corrupted_archive_is_refused_and_leaves_nothing(tmp_path, mirror, target):
    wanted = archive_of(mirror)
    mirror.write_bytes(b"real byteS")
    line = failure(wanted, target, mirror=str(tmp_path / "mirror"))
    assert f"{mirror}: a.bin: wrong checksum" in line
    assert f"sha256 {wanted.sha256}" in line
    assert f"or put it at {target}.part and run again" in line
    assert left(target) == []


def test_a_missing_archive_names_every_place_tried(mirror, target):
    wanted = archive_of(mirror, urls=("file:///nowhere/",))
    line = failure(wanted, target, mirror="file:///not/here", own="ftp://old/a.bin")
    assert "ftp://old/a.bin: cannot fetch ftp:// addresses" in line
    assert "file:///not/here/made/a.bin: no such file" in line
    assert "file:///nowhere/a.bin: no such file" in line
    assert "fetch it by hand from file:///nowhere/a.bin" in line
    assert "--config 'data={files: {a.bin: PATH_OR_URL}}'" in line


def test_an_archive_without_any_source_says_so(mirror, target):
    line = failure(archive_of(mirror, bytes=None, sha256=None, md5="0" * 32), target)
    assert "no public source of it is alive" in line
    assert f"get a copy from elsewhere (md5 {'0' * 32})" in line


def test_an_intact_file_is_kept_and_another_one_is_not_replaced(mirror):
    before = mirror.stat().st_mtime_ns
    wanted = archive_of(mirror)
    download(wanted, mirror)
    assert mirror.stat().st_mtime_ns == before
    mirror.write_bytes(b"mine")
    with pytest.raises(DataError, match=r"wrong checksum.*delete it and run again"):
        download(wanted, mirror)
    assert mirror.read_bytes() == b"mine"


def test_a_file_put_by_hand_under_the_name_of_the_part_is_used(target):
    target.parent.mkdir()
    part = target.with_name("a.bin.part")
    part.write_bytes(CONTENT)
    download(served(), target, own=str(part))
    check_done(target)


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_copy_put_by_hand_where_the_part_goes_is_taken_without_any_source(target, size):
    target.parent.mkdir()
    part = target.with_name("a.bin.part")
    part.write_bytes(CONTENT[:-1] + b"x")
    line = failure(served(bytes=size), target)
    assert f"could not be had ({part}: a.bin: wrong checksum" in line
    part.write_bytes(CONTENT)
    download(served(bytes=size), target)
    check_done(target)


# Servers


def test_a_good_server(server, target):
    download(served(server.url("")), target, patience=QUICK)
    check_done(target)
    assert server.requests == [("/a.bin", None)]


def test_an_address_may_be_whole_instead_of_a_folder(server, target):
    download(served(server.url("files/5976018")), target, patience=QUICK)
    check_done(target)
    assert server.requests == [("/files/5976018", None)]


def test_a_mirror_may_be_a_server(server, target):
    download(served(), target, server.url("mirror/"), patience=QUICK)
    assert server.requests == [("/mirror/made/a.bin", None)]


def test_a_chunked_answer_of_unknown_size(server, target):
    server.manners = ["chunked"]
    wanted = served(server.url(), bytes=None, sha256=None, md5=hashlib.md5(CONTENT).hexdigest())
    download(wanted, target, patience=QUICK)
    check_done(target)


def test_after_a_cut_only_the_rest_is_sent(server, target, caplog):
    server.manners = ["cut", "cut", "good"]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    half, quarter = len(CONTENT) // 2, len(CONTENT) // 4
    assert [r for _, r in server.requests] == [None, f"bytes={half}-", f"bytes={half + quarter}-"]
    assert server.sent == [half, quarter, quarter]
    assert f"{server.url()}: the connection was cut ({half:,} bytes are missing)" in caplog.text


def test_a_later_run_goes_on_where_the_last_one_stopped(server, target):
    server.manners = ["cut", 503]
    line = failure(served(server.url()), target)
    half = len(CONTENT) // 2
    assert f"{server.url()}: HTTP 503 Service Unavailable, 4 times in a row" in line
    assert f"{half:,} bytes are kept in {target}.part; the next run goes on from there" in line
    assert left(target) == ["a.bin.part"]
    server.manners = ["good"]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert server.sent[-1] == half


def test_cuts_that_bring_something_new_are_no_reason_to_give_up(server, target):
    server.manners = ["cut"] * 8 + ["good"]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert sum(server.sent) == len(CONTENT)


def test_a_server_without_ranges_starts_from_zero(server, target):
    server.manners = ["cut_no_ranges", "no_ranges"]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert server.sent == [len(CONTENT) // 2, len(CONTENT)]


def test_a_part_is_not_continued_by_a_server_without_ranges(server, target):
    target.parent.mkdir()
    target.with_name("a.bin.part").write_bytes(CONTENT[:1000])
    server.manners = ["no_ranges"]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert server.requests == [("/a.bin", "bytes=1000-")]


def test_what_cannot_be_resumed_is_not_kept(server, target):
    server.manners = ["cut_no_ranges"]
    line = failure(served(server.url()), target)
    assert "the connection was cut" in line
    assert "4 times in a row" in line
    assert "are kept" not in line
    assert left(target) == []


def test_a_server_that_sends_another_range_than_asked_for(server, target, caplog):
    server.manners = ["cut", "other_range", "good"]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert "has other bytes than asked for" in caplog.text


@pytest.mark.parametrize("manner", ["html", "html_mislabelled"])
def test_a_web_page_is_not_the_file(server, target, manner):
    server.manners = [manner]
    line = failure(served(server.url(), bytes=None), target)
    assert f"{server.url()}: a web page (HTML) came instead of the file" in line
    assert "Next step: fetch it by hand from" in line
    assert left(target) == []
    assert len(server.requests) == 1


def test_a_web_page_does_not_cost_what_is_here(server, target):
    target.parent.mkdir()
    target.with_name("a.bin.part").write_bytes(CONTENT[:1000])
    server.manners = ["html"]
    assert "1,000 bytes are kept" in failure(served(server.url()), target)
    assert left(target) == ["a.bin.part"]


def test_a_server_that_stalls(server, target):
    server.manners = ["stall", "good"]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert server.requests[1] == ("/a.bin", f"bytes={len(CONTENT) // 2}-")


def test_a_server_that_stalls_for_ever(server, target):
    patience = Patience(tries=1, wait=0.01, stall=0.1)
    server.manners = ["stall"]
    with pytest.raises(DataError) as caught:
        download(served(server.url()), target, patience=patience)
    assert f"{server.url()}: stalled: nothing came for 0.1 s" in str(caught.value)
    assert left(target) == ["a.bin.part"]


def test_a_server_that_drips_is_too_slow(server, target):
    server.manners = ["drip", "good"]
    patience = Patience(wait=0.01, window=0.1, slowest=10_000)
    download(served(server.url()), target, patience=patience)
    check_done(target)
    assert len(server.requests) == 2
    server.manners, server.requests[:] = ["drip"], []
    patience = Patience(wait=0.01, window=0.1, slowest=10_000, resumptions=3)
    target.unlink()
    with pytest.raises(DataError, match=r"too slow: \d+ bytes a second; it broke off 3 times, and"):
        download(served(server.url()), target, patience=patience)


def test_a_server_that_breaks_off_after_every_byte_is_given_up(server, target):
    server.manners = ["byte"]
    patience = Patience(wait=0.001, resumptions=20)
    with pytest.raises(DataError, match=r"it broke off 20 times, and 20 bytes are here"):
        download(served(server.url()), target, patience=patience)
    assert len(server.requests) == 20


@pytest.mark.parametrize("manner", ["chunked_cut", "reset", "cut", "unsized_cut"])
def test_a_broken_connection_is_told_in_words(server, target, manner):
    server.manners = [manner]
    line = failure(served(server.url()), target)
    told = line[line.index("could not be had") : line.index("Next step")]
    for raw in ("Error", "IncompleteRead", "('", "None", "errno", "Errno", "b'"):
        assert raw not in told


@pytest.mark.parametrize("manner", ["endless", "good"])
def test_an_archive_of_unknown_size_is_not_without_end(server, target, monkeypatch, manner):
    monkeypatch.setattr(request, "_UNKNOWN_SIZE", len(CONTENT) - 1)
    server.manners = [manner]
    line = failure(served(server.url(), bytes=None), target)
    assert f"{server.url()}: another file: " in line
    assert left(target) == []


def test_wrong_bytes(server, target):
    server.manners = ["wrong"]
    line = failure(served(server.url()), target)
    assert f"{server.url()}: a.bin: wrong checksum: sha256 is" in line
    assert left(target) == []
    assert len(server.requests) == 1


def test_a_part_that_belongs_to_something_else(server, target, caplog):
    target.parent.mkdir()
    target.with_name("a.bin.part").write_bytes(b"other" * 100)
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert "what was here did not belong to it; from the start again" in caplog.text
    assert [r for _, r in server.requests] == ["bytes=500-", None]


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_whole_part_is_verified_and_not_fetched_again(server, target, size):
    target.parent.mkdir()
    target.with_name("a.bin.part").write_bytes(CONTENT)
    download(served(server.url(), bytes=size), target, patience=QUICK)
    check_done(target)
    assert sum(server.sent) == 0


def test_a_part_that_is_too_long(server, target):
    target.parent.mkdir()
    target.with_name("a.bin.part").write_bytes(CONTENT + b"more")
    download(served(server.url()), target, patience=QUICK)
    check_done(target)


@pytest.mark.parametrize(
    ("manner", "told"),
    [
        ("short", f"short file: {len(CONTENT) - 10:,} bytes, should be {len(CONTENT):,}"),
        ("endless", f"another file: more than {len(CONTENT):,} bytes"),
        (404, "HTTP 404 Not Found"),
        (403, "HTTP 403 Forbidden"),
    ],
)
def test_what_is_not_the_file_is_asked_for_once(server, target, manner, told):
    server.manners = [manner]
    assert f"{server.url()}: {told}" in failure(served(server.url()), target)
    assert left(target) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("manner", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(server, target, manner):
    server.manners = [manner, manner, "good"]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert len(server.requests) == 3


def test_a_closed_connection_is_not_the_end_of_the_file(server, target):
    server.manners = ["unsized_cut", "good"]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert len(server.requests) == 2


def test_the_next_source_after_one_that_has_it_not(server, target, caplog):
    server.manners = [404, "good"]
    download(served(server.url("gone"), server.url("here")), target, patience=QUICK)
    check_done(target)
    next_one = f"{server.url('gone')}: HTTP 404 Not Found; next is {server.url('here')}"
    assert next_one in caplog.text


def test_the_next_source_goes_on_with_the_part_of_the_one_before(server, target):
    server.manners = ["cut", 404, "good"]
    download(served(server.url("one"), server.url("two")), target, patience=QUICK)
    check_done(target)
    assert server.sent == [len(CONTENT) // 2, 0, len(CONTENT) // 2]


def test_no_network(target):
    with serving(b"") as closed:
        url = closed.url()
    line = failure(served(url), target)
    assert f"{url}: no connection (" in line
    assert "2 times in a row" in line
    assert "object at 0x" not in line


@pytest.mark.parametrize("url", ["http://", "http://[bad/a.bin", "https://a b/c"])
def test_what_is_no_address(target, url):
    assert url in failure(served(), target, own=url)


# Disks


@pytest.mark.parametrize(("manner", "kept"), [("good", True), ("no_ranges", False)])
def test_a_full_disk_ends_it_and_keeps_what_can_be_resumed(
    server, target, monkeypatch, manner, kept
):
    written = []

    def full(stream, data):
        if sum(written) == 120_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(stream.write(data[: 120_000 - sum(written)]))
        return written[-1]

    server.manners = [manner]
    monkeypatch.setattr(partial, "write", full)
    line = failure(served(server.url(), server.url("second")), target)
    assert line.startswith(f"{server.url()}: the disk of {target.parent} is full: ")
    assert f"it needs {len(CONTENT):,} bytes" in line
    assert "make room and run again" in line
    assert ("120,000 bytes are kept in" in line) == kept
    assert left(target) == (["a.bin.part"] if kept else [])
    assert len(server.requests) == 1
    monkeypatch.undo()
    download(served(server.url()), target, patience=QUICK)
    check_done(target)


def test_too_little_room_is_told_before_anything_is_written(server, target):
    line = failure(served(server.url(), bytes=1 << 60, members_sha256="x"), target)
    assert "is full" in line
    assert f"it needs {1 << 60:,} bytes" in line
    assert left(target) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "raw").write_text("a file")
    line = failure(served(), tmp_path / "raw" / "made" / "a.bin")
    assert "mend that and run again" in line


# Side by side


def test_two_processes_fetch_one_file_once(server, target, tmp_path):
    server.manners = ["slow"]
    code = (
        "import json, sys, logging; from pathlib import Path;"
        "from dmlbench.data.archives import Archive; from dmlbench.data.download import download;"
        "logging.basicConfig(level=logging.INFO);"
        "download(Archive(**json.loads(sys.argv[1])), Path(sys.argv[2]))"
    )
    facts = json.dumps(served(server.url()).__dict__)
    command = [sys.executable, "-c", code, facts, str(target)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    both = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    texts = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    check_done(target)
    assert len(server.requests) == 1
    assert sum("is there already and intact" in text for text in texts) == 1


def test_what_a_killed_process_left_is_in_nobodys_way(server, target):
    target.parent.mkdir()
    target.with_name(".a.bin.lock").touch()
    target.with_name("a.bin.part").write_bytes(CONTENT[:1000])
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert server.sent == [len(CONTENT) - 1000]


def test_many_threads_take_turns(server, target):
    threads = [
        threading.Thread(target=download, args=(served(server.url()), target)) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_done(target)
    assert len(server.requests) == 1


def test_size_speed_and_time_left_are_logged_where_there_is_no_terminal(
    server, target, monkeypatch, caplog
):
    monkeypatch.setattr(progress, "LOG_EVERY", 0)
    with caplog.at_level(logging.INFO, "dmlbench"):
        download(served(server.url()), target, patience=QUICK)
    assert "a.bin: 0.5 MB of 0.5 MB (100%)" in caplog.text
    assert "00:00 left" in caplog.text


def test_a_bar_is_shown_on_a_terminal(server, target, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    download(served(server.url()), target, patience=QUICK)
    assert "a.bin:   0%" in capsys.readouterr().err


def test_an_archive_without_a_checksum_is_taken_only_as_the_user_pins_it(server, target):
    unknown = served(server.url(), bytes=None, sha256=None)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    told = failure(unknown, target)
    assert "nobody has published a checksum" in told
    assert f"--config 'data={{checksums: {{a.bin: {sha256}}}}}'" in told
    assert left(target) == ["a.bin.part"]  # it waits for the pin
    download(unknown.pinned(sha256), target, patience=QUICK)
    check_done(target)
    assert sum(server.sent) == len(CONTENT)
    with pytest.raises(DataError, match="nobody has published"):
        download(unknown, target, patience=QUICK)
    assert target.read_bytes() == CONTENT


def test_a_pin_that_does_not_hold_and_one_that_is_not_needed(server, target):
    unknown = served(server.url(), bytes=None, sha256=None)
    assert "a.bin: wrong checksum" in failure(unknown.pinned("0" * 64), target)
    assert served(sha256="1" * 64).pinned("0" * 64).sha256 == "1" * 64  # a published one holds
