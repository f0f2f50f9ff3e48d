"""Archives that no dataset may trust: each malicious or damaged member is refused by name."""

import gzip
import io
import os
import random
import re
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from dmlbench.data import read_archive
from dmlbench.data.read_archive import read_gzip, read_members
from dmlbench.errors import DataError

FILES = [("b/2.png", b"two"), ("a/1.png", b"one" * 5000), ("a/note.txt", b"")]


def zip_of(path, files=FILES, **options):
    with zipfile.ZipFile(path, "w", **options) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        for name, content in files:
            archive.writestr(name, content)
    return path


def tar_of(path, files=FILES, mode="w:gz", **attributes):
    with tarfile.open(path, mode) as archive:
        for name, content in files:
            info = tarfile.TarInfo()
            info.name, info.size = name, len(content)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def refusal(path, wanted=lambda name: True):
    """The one line that reading ``path`` ends with; nothing may appear beside it."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(DataError) as caught:
        list(read_members(path, wanted))
    assert sorted(path.parent.rglob("*")) == before
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert line.startswith(str(path))
    return line


@pytest.fixture
def small_limits(monkeypatch):
    """Limits that a test reaches in milliseconds."""
    monkeypatch.setattr(read_archive, "MEMBER_BYTES", 2 << 20)
    monkeypatch.setattr(read_archive, "HARMLESS_BYTES", 1 << 20)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
def test_files_come_in_archive_order_and_nothing_is_written(tmp_path, name):
    made = zip_of(tmp_path / name) if name == "x.zip" else None
    made = made or tar_of(tmp_path / name, mode="w" if name == "x.tar" else "w:gz")
    assert list(read_members(made)) == FILES
    images = list(read_members(str(made), lambda member: member.endswith(".png")))
    assert images == FILES[:2]
    assert list(tmp_path.iterdir()) == [made]


def test_folders_and_leading_dots_are_no_trouble(tmp_path):
    made = tmp_path / "x.tar"
    with tarfile.open(made, "w") as archive:
        folder = tarfile.TarInfo("./a")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        archive.addfile(folder)
        info = tarfile.TarInfo("./a/1.png")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"one"))
    assert list(read_members(made)) == [("a/1.png", b"one")]


UNSAFE = [
    ("/etc/passwd", "has an absolute path"),
    ("../up.png", "leads out of the archive"),
    ("a/../../up.png", "leads out of the archive"),
    ("a/..", "leads out of the archive"),
    ("a\\..\\up.png", "has a backslash or a drive letter"),
    ("C:/up.png", "has a backslash or a drive letter"),
    ("a/new\nline.png", "has a name that is not plain text"),
]


@pytest.mark.parametrize("make", [zip_of, tar_of])
@pytest.mark.parametrize(("name", "reason"), UNSAFE)
def test_paths_that_lead_out(tmp_path, make, name, reason):
    made = make(tmp_path / "x", [FILES[0], (name, b"bad")])
    for wanted in (lambda member: True, lambda member: member == FILES[0][0]):
        line = refusal(made, wanted)
        assert reason in line
        assert repr(name) in line


@pytest.mark.parametrize("make", [zip_of, tar_of])
@pytest.mark.parametrize("again", ["b/2.png", "./b/2.png"])
def test_two_members_of_one_name(tmp_path, make, again):
    line = refusal(make(tmp_path / "x", [*FILES, (again, b"another two")]))
    assert "member 'b/2.png' is there twice" in line


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "b/../../../x", "C:\\x"])
def test_tar_links_that_lead_out(tmp_path, kind, target):
    made = tar_of(tmp_path / "x", [("a/link.png", b"")], type=kind, linkname=target)
    assert "is a link out of it" in refusal(made)
    assert "is a link out of it" in refusal(made, lambda name: False)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_tar_links_inside_are_refused_only_where_they_are_wanted(tmp_path, kind):
    made = tar_of(tmp_path / "x", [("a/link.png", b"")], type=kind, linkname="b/2.png")
    assert "member 'a/link.png' is a link" in refusal(made)
    assert list(read_members(made, lambda name: False)) == []


def zip_with_mode(path, mode, content=b"", name="a/bad.png"):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return zip_of(path, [FILES[0], (info, content)])


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (b"../../etc/passwd", "link out of"),
        (b"/etc/passwd", "link out of"),
        (b"1.png", "is a link"),
    ],
)
def test_zip_links(tmp_path, target, reason):
    made = zip_with_mode(tmp_path / "x.zip", 0o120777, target)
    assert reason in refusal(made)
    if b"/" not in target:
        assert list(read_members(made, lambda name: name == FILES[0][0])) == FILES[:1]


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_tar_devices_and_pipes(tmp_path, kind):
    made = tar_of(tmp_path / "x", [("a/bad.png", b"")], type=kind)
    assert "member 'a/bad.png' is a device or pipe" in refusal(made, lambda name: False)


@pytest.mark.parametrize("mode", [0o020666, 0o060666, 0o010666, 0o140666])
def test_zip_devices_and_pipes(tmp_path, mode):
    made = zip_with_mode(tmp_path / "x.zip", mode)
    assert "member 'a/bad.png' is a device or pipe" in refusal(made, lambda name: False)


def test_an_encrypted_zip(tmp_path):
    made = zip_of(tmp_path / "x.zip", FILES[:1])
    content = bytearray(made.read_bytes())
    content[6] |= 1  # the local header's flags
    content[content.index(b"PK\1\2") + 8] |= 1
    made.write_bytes(content)
    assert "member 'b/2.png' is encrypted" in refusal(made)


def test_a_zip_bomb(tmp_path, small_limits):
    made = zip_of(
        tmp_path / "x.zip", [("a.png", bytes(1_500_000))], compression=zipfile.ZIP_DEFLATED
    )
    assert "unpacks to more than 1,048,576 bytes; the archive is refused" in refusal(made)


def test_a_tar_bomb_is_found_also_in_what_nobody_wants(tmp_path, small_limits):
    made = tar_of(tmp_path / "x.tgz", [("a.png", bytes(1_500_000))])
    assert "unpacks to more than 1,048,576 bytes" in refusal(made)
    assert "unpacks to more than 1,048,576 bytes" in refusal(made, lambda name: False)


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_many_members_that_are_too_much_together(tmp_path, make, monkeypatch):
    monkeypatch.setattr(read_archive, "TOTAL_BYTES", 1 << 20)
    made = make(tmp_path / "x", [(f"{n}.png", os.urandom(200_000)) for n in range(6)])
    assert "unpacks to more than 1,048,576 bytes" in refusal(made)


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_one_member_that_is_too_large(tmp_path, make, small_limits):
    made = make(tmp_path / "x", [("a.png", os.urandom(3 << 20))])
    assert "member 'a.png' is larger than 2,097,152 bytes" in refusal(made)


def test_a_zip_whose_header_lies_about_the_size(tmp_path):
    made = zip_of(tmp_path / "x.zip", [("a.png", bytes(100_000))], compression=zipfile.ZIP_DEFLATED)
    content = made.read_bytes()
    made.write_bytes(content.replace(struct.pack("<L", 100_000), struct.pack("<L", 100)))
    assert "a damaged archive (Bad CRC-32 for file 'a.png')" in refusal(made)


def test_a_tar_header_that_claims_a_terabyte(tmp_path):
    made = tmp_path / "x.tar"
    info = tarfile.TarInfo("a.png")
    info.size = 1 << 40
    made.write_bytes(info.tobuf() + b"short")
    assert "a damaged archive" in refusal(made)


def test_a_tar_name_that_claims_a_gigabyte(tmp_path):
    made = tmp_path / "x.tgz"
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    made.write_bytes(gzip.compress(info.tobuf() + b"a" * (2 << 20)))
    assert "a header of more than 1,048,576 bytes" in refusal(made)


def test_tar_headers_inside_headers(tmp_path):
    made = tmp_path / "x.tar"
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    made.write_bytes((info.tobuf(tarfile.GNU_FORMAT) + bytes(512)) * 900)
    assert "a damaged archive (cut off or overwritten" in refusal(made)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_tar_header_of_negative_size(tmp_path, kind):
    made = tmp_path / "x.tar"
    info = tarfile.TarInfo("a.png")
    info.type = kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"  # -1,024: back to where it came from
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    made.write_bytes(bytes(header) + bytes(4096))
    refusal(made)


def test_a_sparse_tar_member(tmp_path):
    made = tmp_path / "x.tar"
    info = tarfile.TarInfo("a.png")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:398] = b"%011o\0" % 0  # a piece of 512 bytes at 0
    header[398:410] = b"%011o\0" % 512
    header[483:495] = b"%011o\0" % (1 << 32)  # the size that it claims to unpack to
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    made.write_bytes(bytes(header) + bytes(512) + bytes(1024))
    assert "member 'a.png' is a sparse file" in refusal(made)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_truncated_tgz(tmp_path, keep):
    made = tar_of(tmp_path / "x.tgz", [(f"{n}.png", os.urandom(5000)) for n in range(20)])
    content = made.read_bytes()
    made.write_bytes(content[: int(len(content) * keep)])
    assert "a damaged archive" in refusal(made)


def test_a_tgz_with_a_wrong_crc_after_its_last_member(tmp_path):
    made = tar_of(tmp_path / "x.tgz")
    content = bytearray(made.read_bytes())
    content[-8] ^= 1
    made.write_bytes(content)
    assert "CRC check failed" in refusal(made)


def test_a_tar_that_ends_between_two_members(tmp_path):
    made = tar_of(tmp_path / "x.tar", FILES[:2], mode="w")
    made.write_bytes(made.read_bytes()[:1024])  # header and content of the first
    assert "a damaged archive (cut off or overwritten" in refusal(made)


def test_a_tar_header_that_was_overwritten(tmp_path):
    made = tar_of(tmp_path / "x.tar", mode="w")
    content = bytearray(made.read_bytes())
    content[1024:1034] = b"overwritten"[:10]
    made.write_bytes(content)
    assert "a damaged archive (cut off or overwritten" in refusal(made)


def test_a_damaged_zip(tmp_path):
    made = zip_of(tmp_path / "x.zip")
    content = made.read_bytes()
    made.write_bytes(content.replace(b"two", b"owt"))
    assert "Bad CRC-32 for file 'b/2.png'" in refusal(made)
    made.write_bytes(content[:-30])
    assert "a damaged archive (File is not a zip file)" in refusal(made)


def test_something_else_is_no_archive(tmp_path):
    for content in (b"", b"<html>not found</html>", b"PK", b"\x1f\x8b"):
        made = tmp_path / "x"
        made.write_bytes(content)
        assert "a damaged archive" in refusal(made)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
def test_random_damage_is_a_data_error_or_harmless(tmp_path, name):
    made = zip_of(tmp_path / name) if name == "x.zip" else None
    made = made or tar_of(tmp_path / name, mode="w" if name == "x.tar" else "w:gz")
    content, draw = made.read_bytes(), random.Random(0)
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        made.write_bytes(damaged)
        try:
            list(read_members(made))
        except DataError:
            continue


def test_a_missing_archive_is_told_by_its_name(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(read_members(tmp_path / "none.zip"))


def test_a_gzip_bomb(tmp_path, small_limits):
    made = tmp_path / "x.gz"
    made.write_bytes(gzip.compress(bytes(1_500_000)))
    with pytest.raises(DataError, match=r"x\.gz unpacks to more than 1,048,576 bytes"):
        read_gzip(made)


def test_nothing_in_the_package_unpickles_data():
    package = Path(read_archive.__file__).parents[1]
    for file in package.rglob("*.py"):
        text = file.read_text()
        assert "allow_pickle=True" not in text, file
        # The error is what torch.load raises where it is told to run no code.
        assert not re.search(r"from pickle|pickle\.(?!UnpicklingError)", text), file
        assert "torch.load(" not in text or "weights_only=True" in text, file
        assert "extractall" not in text, file
