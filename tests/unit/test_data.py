"""Archives, index, store and splits."""

import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dmlbench.config.archive_table import archives
from dmlbench.config.dataset_facts import Part
from dmlbench.data.dataset import get_dataset
from dmlbench.data.datasets.mnist import read_idx
from dmlbench.data.download import download
from dmlbench.data.prepare import prepare
from dmlbench.data.splits import VALIDATION, run_index, validation_mask
from dmlbench.data.store import ImageStore
from dmlbench.errors import DataError
from dmlbench.evaluation.run_metrics import part_counts
from dmlbench.seeding import validation_classes


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


def test_the_train_split_of_a_run_is_what_it_trains_on():
    index = index_of(30, 8).assign(subset="", id=range(240))
    index.loc[200:, "split"] = "test"
    recipe = {"test_fold": None, "validation": 0.1}
    mine = run_index(index, recipe, "made", "label")
    held = validation_mask(index, "label", 0.1, "made")
    assert ((mine["split"] == VALIDATION) == held).all()
    assert (mine["split"] == index["split"])[~held].all()
    facts = part_counts(Part("train", "", "label"), mine)
    assert (facts["queries"], facts["held_out"]) == (200 - held.sum(), held.sum())
    assert facts["trained_classes"] == facts["classes"]
    assert part_counts(Part("test", "", "label"), mine)["held_out"] == 0


def test_images_that_nothing_can_match_are_counted_in_every_part():
    index = pd.DataFrame({"split": "test", "subset": "", "label": list("aab"), "content": range(3)})
    assert part_counts(Part("test", "", "label"), index)["unmatched"] == 1


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


def omniglot_images(folder):
    """Every drawing as Pillow decodes it, by its name in the zips."""
    for file in ("images_background.zip", "images_evaluation.zip"):
        with zipfile.ZipFile(folder / file) as archive:
            for name in archive.namelist():
                if name.endswith(".png"):
                    yield name, np.asarray(Image.open(archive.open(name)).convert("L"))


def mnist_images(folder):
    """Every scan of the digits that are used: 784 bytes each after a header of 16."""
    for split, prefix in (("train", "train"), ("test", "t10k")):
        pixels = gzip.decompress((folder / f"{prefix}-images-idx3-ubyte.gz").read_bytes())[16:]
        digits = gzip.decompress((folder / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())[8:]
        for number, digit in enumerate(digits):
            if split == "test" or digit <= 5:
                image = pixels[784 * number : 784 * (number + 1)]
                yield f"{split}/{number:05d}", np.frombuffer(image, np.uint8).reshape(28, 28)


@pytest.mark.parametrize(
    ("name", "images"), [("mnist_even_odd", mnist_images), ("omniglot", omniglot_images)]
)
def test_every_image_of_the_real_archives_is_in_the_store(name, images, shared_data, tmp_path):
    dataset = get_dataset(name)
    raw = {}
    for file, archive in archives(dataset.facts.sources[0]).items():
        download(archive, tmp_path / file, shared_data.as_uri())
        raw[file] = str(tmp_path / file)
    index = prepare(dataset, raw, tmp_path, threads=2)  # asserts the published counts
    store = ImageStore(tmp_path)
    assert len(np.unique(store.shapes, axis=0)) == 1
    rows = dict(zip(index["path"], range(len(index)), strict=True))
    for path, image in images(tmp_path):
        assert (store.image(rows.pop(path))[:, :, 0] == image).all(), path
    assert not rows
    if name == "omniglot":  # two drawings of one Braille letter are the same file
        copies = index[index["content"] != index["id"]]
        assert copies["path"].str.endswith("Braille/character01/0192_19.png").tolist() == [True]
