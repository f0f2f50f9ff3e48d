"""Archives, index, store and splits."""

import gzip

import numpy as np
import pandas as pd
import pytest
import torch

from dmlbench.config.splits import validation_classes
from dmlbench.data.archives import archives
from dmlbench.data.dataset import Dataset, Record, get_dataset
from dmlbench.data.datasets.mnist import read_idx
from dmlbench.data.download import download
from dmlbench.data.prepare import prepare
from dmlbench.data.reader import ImageReader
from dmlbench.data.splits import validation_mask
from dmlbench.data.store import ImageStore
from dmlbench.errors import DataError


class Made(Dataset):
    """Images of two sizes; the third is a copy of the first."""

    name = "made"
    counts = {"train": 3, "test": 1, "train:colour": 2}  # noqa: RUF012

    def records(self, raw):
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, s, dtype=np.uint8) for s in [(4, 6, 3), (5, 5, 3)]]
        for number, image in enumerate([*images, images[0], images[1]]):
            split = "test" if number == 3 else "train"
            yield Record(f"{number}.png", split, "", {"colour": number % 2}, image)


def test_prepare_stores_every_pixel_and_marks_copies(tmp_path):
    prepare(Made, {}, tmp_path)
    store = ImageStore(tmp_path)
    for row, record in enumerate(Made().records({})):
        assert (store.image(row) == record.image).all()
    assert store.index["content"].tolist() == [0, 1, 0, 1]
    assert store.uniform() is None


def test_wrong_counts_are_refused_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(Made, "counts", {"train": 4})
    with pytest.raises(DataError, match=r"made: train has 3 images, published are 4"):
        prepare(Made, {}, tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(Made, "counts", {"train:colour": 5})
    with pytest.raises(DataError, match="train has 2 classes of colour, published are 5"):
        prepare(Made, {}, tmp_path)


def test_a_store_of_another_index_is_refused(tmp_path):
    prepare(Made, {}, tmp_path)
    (tmp_path / "pixels.bin").write_bytes(b"short")
    with pytest.raises(DataError, match="does not belong to"):
        ImageStore(tmp_path)


def test_reader_scales_inverts_and_resizes(tmp_path):
    prepare(Made, {}, tmp_path)
    store = ImageStore(tmp_path)
    cpu, rows = torch.device("cpu"), torch.tensor([1])
    plain = ImageReader(store, 5, False).batch(rows, cpu)
    assert torch.equal(plain[0], torch.tensor(store.image(1)).permute(2, 0, 1) / 255)
    assert torch.allclose(ImageReader(store, 5, True).batch(rows, cpu), 1 - plain, atol=1e-6)
    with pytest.raises(DataError, match="image_size"):
        ImageReader(store, None, False)


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
    for file, archive in archives(dataset.source).items():
        download(archive, tmp_path / file, shared_data.as_uri())
        raw[file] = str(tmp_path / file)
    index = prepare(dataset, raw, tmp_path)
    assert ImageStore(tmp_path).uniform() is not None
    if name == "omniglot":  # two drawings of one Braille letter are the same file
        copies = index[index["content"] != index["id"]]
        assert copies["path"].str.endswith("Braille/character01/0192_19.png").tolist() == [True]
