"""Fetching archives: from folders, onto full disks, side by side, and what is told meanwhile."""

import hashlib
import json
import logging
import os
import resource
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from conftest import SCRIPTS
from downloads import CONTENT, QUICK, archive_of, check_done, failure, left, served
from file_server import serving

from dmlbench import progress
from dmlbench.data.download import download
from dmlbench.errors import DataError, UserError


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


@contextmanager
def largest_file(size):
    """No file may become larger: writing ends as it does on a full disk, by the system's error."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


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


@pytest.mark.parametrize(("manner", "kept"), [("good", True), ("no_ranges", False)])
def test_a_full_disk_ends_it_and_keeps_what_can_be_resumed(server, target, manner, kept):
    server.manners = [manner]
    with largest_file(120_000):
        line = failure(served(server.url(), server.url("second")), target)
    assert line.startswith(f"{target.parent}: File too large; mend that and run again")
    assert ("120,000 bytes are kept in" in line) == kept
    assert left(target) == (["a.bin.part"] if kept else [])
    assert len(server.requests) == 1
    download(served(server.url()), target, patience=QUICK)
    check_done(target)


def test_too_little_room_is_told_before_anything_is_written(server, target):
    line = failure(served(server.url(), bytes=1 << 60, members_sha256="x"), target)
    assert "No space left on device" in line
    assert f"{1 << 60:,} are missing" in line
    assert left(target) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "raw").write_text("a file")
    line = failure(served(), tmp_path / "raw" / "made" / "a.bin")
    assert "mend that and run again" in line


def test_two_processes_fetch_one_file_once(server, target, tmp_path):
    server.manners = ["slow"]
    code = (
        "import json, sys, logging; from pathlib import Path;"
        "from dmlbench.config.archive_table import Archive;"
        "from dmlbench.data.download import download;"
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
    assert "a.bin: 512kB of 512kB (100%)" in caplog.text
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
    with pytest.raises(UserError, match="nobody has published"):
        download(unknown, target, patience=QUICK)
    assert target.read_bytes() == CONTENT


def test_a_pin_that_does_not_hold_and_one_that_is_not_needed(server, target):
    unknown = served(server.url(), bytes=None, sha256=None)
    assert "a.bin: wrong checksum" in failure(unknown.pinned("0" * 64), target)
    assert served(sha256="1" * 64).pinned("0" * 64).sha256 == "1" * 64  # a published one holds
