"""Archives, index, store and splits."""

import gzip
import hashlib
import zipfile

import numpy as np
import pandas as pd
import pytest

from dmlbench.config.splits import validation_classes
from dmlbench.data.archives import Archive
from dmlbench.data.dataset import get_dataset
from dmlbench.data.datasets.mnist import read_idx
from dmlbench.data.download import download
from dmlbench.data.prepare import prepare
from dmlbench.data.splits import validation_mask
from dmlbench.data.store import ImageStore
from dmlbench.data.verify import members_sha256, verify
from dmlbench.errors import DataError


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


@pytest.fixture
def mirror(tmp_path):
    file = tmp_path / "mirror" / "made" / "a.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"real bytes")
    return file


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_download_from_a_folder_or_file_url(tmp_path, mirror, scheme):
    target = tmp_path / "raw" / "a.bin"
    download(archive_of(mirror), target, f"{scheme}{tmp_path}/mirror")
    assert target.read_bytes() == b"real bytes"


def test_download_goes_on_to_the_next_place(tmp_path, mirror):
    archive = archive_of(mirror, urls=(f"file://{mirror.parent}/",))
    download(archive, tmp_path / "raw" / "a.bin", str(tmp_path / "nowhere"))
    assert (tmp_path / "raw" / "a.bin").exists()


def test_a_corrupted_archive_is_refused_and_leaves_nothing(tmp_path, mirror):
    archive = archive_of(mirror)
    mirror.write_bytes(b"real byteS")
    target = tmp_path / "raw" / "a.bin"
    with pytest.raises(DataError, match="wrong checksum") as caught:
        download(archive, target, str(tmp_path / "mirror"))
    assert str(target) in str(caught.value)
    assert archive.sha256 in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_a_missing_archive_names_every_place_tried(tmp_path, mirror):
    archive = archive_of(mirror, urls=("file:///nowhere/",))
    with pytest.raises(DataError) as caught:
        download(archive, tmp_path / "a.bin", "file:///not/here")
    assert "file:///not/here/made/a.bin: no such file" in str(caught.value)
    assert "file:///nowhere/a.bin: no such file" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_intact_file_is_kept(tmp_path, mirror):
    before = mirror.stat().st_mtime_ns
    download(archive_of(mirror), mirror, None)
    assert mirror.stat().st_mtime_ns == before


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_a_repacked_zip_is_accepted_and_a_changed_member_is_not(tmp_path):
    members = [("a/1.png", b"one"), ("a/2.png", b"two")]
    original = zipped(tmp_path / "o.zip", members)
    archive = archive_of(original, members_sha256=members_sha256(original))
    repacked = zipped(tmp_path / "r.zip", members[::-1], compression=zipfile.ZIP_DEFLATED)
    verify(repacked, archive)
    with pytest.raises(DataError, match="wrong checksum"):
        verify(zipped(tmp_path / "c.zip", [members[0], ("a/2.png", b"TWO")]), archive)
    with pytest.raises(DataError, match="wrong checksum"):
        verify(zipped(tmp_path / "n.zip", [members[0], ("a/3.png", b"two")]), archive)


def index_of(classes, per_class):
    labels = np.repeat(np.arange(classes), per_class)
    return pd.DataFrame(
        {"split": "train", "label": labels, "content": np.arange(len(labels)) // 2 * 2}
    )


def test_validation_holds_out_whole_classes_where_there_are_enough():
    index = index_of(30, 8)
    held = validation_mask(index, "label", 0.1, "made")
    classes = set(index.loc[held, "label"])
    assert len(classes) == validation_classes(30, 0.1) == 3
    assert not classes & set(index.loc[~held, "label"])


def test_validation_holds_out_images_of_each_class_else_and_never_parts_copies():
    index = index_of(2, 100)
    held = validation_mask(index, "label", 0.1, "made")
    assert index.loc[held, "label"].value_counts().tolist() == [10, 10]
    assert not set(index.loc[held, "content"]) & set(index.loc[~held, "content"])


def test_validation_takes_no_test_image_and_repeats():
    index = index_of(10, 10)
    index.loc[50:, "split"] = "test"
    held = validation_mask(index, "label", 0.5, "made")
    assert held.any()
    assert not held[50:].any()
    assert (held == validation_mask(index, "label", 0.5, "made")).all()
    others = [validation_mask(index, "label", 0.5, name) for name in "abcdef"]
    assert any((held != other).any() for other in others)


def test_digits_have_their_counts_and_no_class_is_missing(tmp_path):
    dataset = get_dataset("digits_even_odd")
    index = prepare(dataset, {}, tmp_path)
    assert set(index.loc[index["split"] == "train", "digit"]) == set(range(6))
    assert set(index.loc[index["subset"] == "unseen", "digit"]) == {6, 7, 8, 9}
    assert (index["parity"] == index["digit"] % 2).all()


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x08\1\0\0\0\5ab"])
def test_a_damaged_idx_file_is_named(tmp_path, content):
    file = tmp_path / "x.gz"
    file.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=r"x\.gz: not an IDX file"):
        read_idx(file)
    file.write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"x\.gz: not a readable gzip"):
        read_idx(file)


@pytest.mark.parametrize("name", ["mnist_even_odd", "omniglot"])
def test_the_real_archives_give_the_published_counts(name, shared_data, tmp_path):
    dataset = get_dataset(name)
    raw = {}
    for file, archive in dataset.archives().items():
        download(archive, tmp_path / file, shared_data.as_uri())
        raw[file] = str(tmp_path / file)
    index = prepare(dataset, raw, tmp_path)
    assert ImageStore(tmp_path).uniform() is not None
    if name == "omniglot":  # two drawings of one Braille letter are the same file
        copies = index[index["content"] != index["id"]]
        assert copies["path"].str.endswith("Braille/character01/0192_19.png").tolist() == [True]
