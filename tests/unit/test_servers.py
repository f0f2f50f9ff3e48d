"""Fetching archives from servers good and bad."""

import hashlib
import logging
import time

import pytest
from downloads import CONTENT, QUICK, check_done, failure, left, served
from file_server import serving

from dmlbench.data import http_source
from dmlbench.data.download import download
from dmlbench.data.http_source import Patience
from dmlbench.errors import DataError


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


@pytest.mark.parametrize(("etag", "sent"), [('"1"', 2), ('"2"', 1)])
def test_a_file_that_changes_during_the_download_comes_from_its_start(server, target, etag, sent):
    half = len(CONTENT) // 2
    server.manners, server.etags = ["cut", "good"], ['"1"', etag]
    download(served(server.url()), target, patience=QUICK)
    check_done(target)
    assert server.sent == [half, len(CONTENT) // sent]


def test_a_server_says_how_long_to_wait(server, target):
    server.manners, server.retry_after = [503, "good"], "3600"
    started = time.monotonic()
    download(served(server.url()), target, patience=Patience(wait=0.01, longest=0.5))
    check_done(target)
    assert 0.5 <= time.monotonic() - started < 5


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
    assert f"{server.url()}: nothing came for 0.1 s" in str(caught.value)
    assert left(target) == ["a.bin.part"]


def test_a_server_that_drips_is_too_slow(server, target):
    server.manners = ["drip", "good"]
    patience = Patience(tries=3, wait=0.01, stall=0.1, least=1000)
    download(served(server.url()), target, patience=patience)
    check_done(target)
    assert len(server.requests) == 2
    server.manners, server.requests[:] = ["drip"], []
    target.unlink()
    with pytest.raises(DataError, match=r"too slow: \d+ bytes in 0.1\S* s, 3 times in a row"):
        download(served(server.url()), target, patience=patience)
    assert len(server.requests) == 3


def test_a_server_that_breaks_off_after_every_byte_is_given_up(server, target):
    server.manners = ["byte"]
    line = failure(served(server.url()), target)
    assert "4 times in a row" in line
    assert "4 bytes are kept" in line
    assert len(server.requests) == 4


@pytest.mark.parametrize("manner", ["chunked_cut", "reset", "cut", "unsized_cut"])
def test_a_broken_connection_is_told_in_words(server, target, manner):
    server.manners = [manner]
    line = failure(served(server.url()), target)
    told = line[line.index("could not be had") : line.index("Next step")]
    for raw in ("Error", "IncompleteRead", "('", "None", "errno", "Errno", "b'"):
        assert raw not in told


@pytest.mark.parametrize("manner", ["endless", "good"])
def test_an_archive_of_unknown_size_is_not_without_end(server, target, monkeypatch, manner):
    monkeypatch.setattr(http_source, "_UNKNOWN_SIZE", len(CONTENT) - 1)
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
    with caplog.at_level(logging.INFO, "dmlbench"):
        download(served(server.url("gone"), server.url("here")), target, patience=QUICK)
    check_done(target)
    told = f"{server.url('gone')}: HTTP 404 Not Found", f"fetching {server.url('here')}"
    assert 0 < caplog.text.index(told[0]) < caplog.text.index(told[1])


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
    assert "4 times in a row" in line
    assert "object at 0x" not in line


@pytest.mark.parametrize("url", ["http://", "http://[bad/a.bin", "https://a b/c"])
def test_what_is_no_address(target, url):
    assert url in failure(served(), target, own=url)
