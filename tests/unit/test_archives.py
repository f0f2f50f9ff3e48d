"""The table of archives, their checksums, and what a config says of them."""

import hashlib
import json
import os
import re
import zipfile

import pytest
from test_download import archive_of
from test_hostile_archives import tar_of

from dmlbench.config import archive_table, resolve_config
from dmlbench.config.archive_table import archive, archives
from dmlbench.data.download import download, members_sha256, verify
from dmlbench.errors import ConfigError, DataError
from dmlbench.workflow.snakemake_jobs import set_job_environment


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as made:
        for name, content in members:
            made.writestr(name, content)
    return path


def test_a_repacked_zip_is_accepted_and_a_changed_member_is_not(tmp_path):
    members = [("a/1.png", b"one"), ("a/2.png", b"two")]
    original = zipped(tmp_path / "o.zip", members)
    wanted = archive_of(original, members_sha256=members_sha256(original))
    repacked = zipped(tmp_path / "r.zip", members[::-1], compression=zipfile.ZIP_DEFLATED)
    verify(repacked, wanted)
    with pytest.raises(DataError, match="wrong checksum"):
        verify(zipped(tmp_path / "c.zip", [members[0], ("a/2.png", b"TWO")]), wanted)
    with pytest.raises(DataError, match="wrong checksum"):
        verify(zipped(tmp_path / "n.zip", [members[0], ("a/3.png", b"two")]), wanted)
    with pytest.raises(DataError, match=r"nor the same members packed anew \(.*'/x' has an abs"):
        verify(zipped(tmp_path / "u.zip", [*members, ("/x", b"")]), wanted)


def test_the_members_hash_does_not_depend_on_the_container(tmp_path):
    members = [("a/1.png", b"one"), ("./a/2.png", b"two")]
    expected = members_sha256(zipped(tmp_path / "o.zip", members))
    assert members_sha256(tar_of(tmp_path / "o.tgz", members[::-1])) == expected


@pytest.mark.parametrize("method", ["md5", "sha1"])
def test_another_checksum_is_enough_where_there_is_no_better_one(tmp_path, method):
    file = tmp_path / "a.bin"
    file.write_bytes(b"real bytes")
    good = hashlib.new(method, file.read_bytes()).hexdigest()
    verify(file, archive_of(file, bytes=None, sha256=None, **{method: good}))
    with pytest.raises(DataError, match=rf"wrong checksum: {method} is .* should be 0+…$"):
        verify(file, archive_of(file, bytes=None, sha256=None, **{method: "0" * 32}))


SOURCES = ["mnist", "omniglot", "cub200", "cars196", "cars196_ims", "lfw", "lfw_funneled"]
SOURCES += ["cars196_parquet", "lfw_a", "sop", "in_shop"]


@pytest.mark.parametrize("source", SOURCES)
def test_every_archive_can_be_verified(source):
    for known in archives(source).values():
        if known.file.endswith(".parquet") or source == "in_shop":
            assert known.checksum is None  # for the user to pin
        else:
            method, checksum = known.checksum
            assert len(checksum) == {"sha256": 64, "sha1": 40, "md5": 32}[method]
        assert all(url.startswith("https://") for url in known.addresses)


@pytest.mark.parametrize("source", ["sop", "in_shop"])
def test_what_has_no_address_says_where_to_get_it_by_hand(source, tmp_path):
    for known in archives(source).values():
        target = tmp_path / known.file
        with pytest.raises(DataError) as told:
            download(known, target)
        assert f"Next step: fetch it by hand from {known.where} (" in str(told.value)
        assert f"put it at {target}.part and run again" in str(told.value)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("source", ["lfw", "cars196"])
def test_the_real_files_are_those_of_the_table(source, shared_data):
    found = 0
    for known in archives(source).values():
        if (file := shared_data / source / known.file).exists():
            verify(file, known)
            verify(file, archive_of(file, sha256=None, md5=known.md5))
            assert file.stat().st_size == known.bytes
            found += 1
    assert found == {"lfw": 6, "cars196": 1}[source]


def test_an_archive_that_there_is_not():
    with pytest.raises(DataError, match=r"source 'lfw' has no archive 'lfw\.zip'; it has"):
        archive("lfw", "lfw.zip")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{file: a.zip, byte: 3}", "mine.a.zip.byte: Unexpected keyword argument"),
        ("{file: a.zip, bytes: x}", "mine.a.zip.bytes: Input should be a valid integer"),
        ("{bytes: 3}", "mine.None.file: Field required"),
    ],
)
def test_a_mistake_in_the_table_is_told_by_its_place(entry, told, tmp_path, monkeypatch):
    table = tmp_path / "archives.yaml"
    table.write_text(f"mine: [{entry}]")
    monkeypatch.setattr(archive_table, "_TABLE", table)
    archive_table.all_archives.cache_clear()
    with pytest.raises(ConfigError, match=rf"archives\.yaml: {re.escape(told)}"):
        archives("mine")
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"archives\.yaml has no source 'mine'"):
        archives("mine")


def test_places_of_single_files_reach_the_jobs_and_change_no_run(smoke_config, monkeypatch):
    plain = resolve_config(smoke_config, "c.yaml")
    smoke_config["data"] = {"files": {"lfw.tgz": "/mine/lfw.tgz"}}
    plan = resolve_config(smoke_config, "c.yaml")
    for key in ("PATH", "DMLBENCH_MIRROR", "DMLBENCH_FILES", "DMLBENCH_CHECKSUMS"):
        monkeypatch.setenv(key, "")
    set_job_environment(plan.benchmark.data)
    assert json.loads(os.environ["DMLBENCH_FILES"]) == {"lfw.tgz": "/mine/lfw.tgz"}
    run = next(iter(plan.runs.values()))
    assert plan.fingerprint(run) == plain.fingerprint(run)


def test_a_pin_of_an_archive_with_a_published_checksum_is_a_mistake(smoke_config):
    smoke_config["data"] = {"checksums": {"lfw.tgz": "0" * 64}}
    with pytest.raises(ConfigError, match=r"data\.checksums\.lfw\.tgz: the published one holds"):
        resolve_config(smoke_config, "c.yaml")
    smoke_config["data"] = {"checksums": {"test-00000-of-00002.parquet": "0" * 64}}
    resolve_config(smoke_config, "c.yaml")


def test_a_place_of_an_unknown_file_is_a_mistake(smoke_config):
    smoke_config["data"] = {"files": {"lwf.tgz": "/mine/lfw.tgz"}}
    with pytest.raises(ConfigError, match=r"data\.files\.lwf\.tgz: .* did you mean 'lfw\.tgz'\?"):
        resolve_config(smoke_config, "c.yaml")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"mirror": "ftp://x/y"}, r"data\.mirror: ftp:// cannot be fetched from, only http"),
        ({"mirror": " "}, r"data\.mirror: is empty"),
        ({"files": {"lfw.tgz": "s3://x/lfw.tgz"}}, r"data\.files: s3:// cannot be fetched from"),
    ],
)
def test_a_place_that_nothing_can_be_fetched_from_is_a_mistake(smoke_config, data, told):
    smoke_config["data"] = data
    with pytest.raises(ConfigError, match=told):
        resolve_config(smoke_config, "c.yaml")
    smoke_config["data"] = {"mirror": "file:///x, y", "files": {"lfw.tgz": "HTTPS://x/lfw.tgz"}}
    resolve_config(smoke_config, "c.yaml")
