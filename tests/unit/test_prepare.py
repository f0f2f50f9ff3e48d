"""From encoded images to index and store: every pixel, in order, in bounded memory."""

import errno
import io
import logging
import os
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from dmlbench.config.dataset_facts import DatasetFacts
from dmlbench.config.recipe import Recipe
from dmlbench.data import disk, prepare
from dmlbench.data.dataset import Dataset, Record
from dmlbench.data.decode import STORES, pixels
from dmlbench.data.store import ImageStore
from dmlbench.errors import DataError

SIZES = [(60, 40), (300, 280), (256, 400), (31, 90), (1, 7)]


def encoded(mode, size, fmt="JPEG", seed=0, **options):
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    image = Image.fromarray(noise[:, :, :3])
    if mode == "I;16":
        image = Image.fromarray(noise.astype(np.uint16)[:, :, 0] * 257)
    elif mode == "RGBA":
        image = Image.fromarray(noise)
    elif mode == "P":
        image = image.quantize(16)
    else:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, fmt, **options)
    return file.getvalue()


def many_kinds():
    """Encoded images of every kind and size, by name."""
    kinds = {("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG")}
    kinds |= {("LA", "PNG"), ("1", "PNG"), ("RGB", "PNG"), ("RGB", "BMP")}
    return {
        f"{mode}_{width}x{height}.{fmt.lower()}": encoded(mode, (width, height), fmt, seed=width)
        for mode, fmt in sorted(kinds)
        for width, height in SIZES
    }


def dataset_of(images, order=None, mode="RGB", **facts):
    """A dataset of encoded images or arrays by path; every third one is a test image."""

    class Made(Dataset):
        """Made."""

        def records(self, raw):
            for number in range(len(images)) if order is None else order:
                path = list(images)[number]
                split = "test" if number % 3 == 2 else "train"
                yield Record(path, split, {"colour": number % 2}, images[path])

    stated = {"train_label": "colour", "train_classes": 2, "evaluations": [], "counts": {}}
    Made.name, Made.facts = "made", DatasetFacts(**stated | {"mode": mode} | facts)
    return Made


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_image_is_what_pillow_decodes(tmp_path, mode, threads):
    images = many_kinds()
    prepare.prepare(dataset_of(images, mode=mode), {}, tmp_path, threads=threads)
    store = ImageStore(tmp_path)
    assert len(store.index) == len(images)
    for row, path in enumerate(store.index["path"]):
        with Image.open(io.BytesIO(images[path])) as image:
            expected = np.asarray(image.convert(mode))
        assert store.image(row).shape == (*expected.shape[:2], len(mode))
        assert (store.image(row).squeeze() == expected.squeeze()).all(), path


def test_sixteen_bits_keep_the_upper_eight():
    data = encoded("I;16", (20, 10), "PNG")
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode.startswith("I")
        expected = np.asarray(image).astype(int) >> 8
    assert (pixels(data, "L", None, "x")[:, :, 0] == expected).all()
    assert (pixels(data, "RGB", None, "x") == expected[:, :, None]).all()


def test_an_exif_orientation_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert pixels(encoded("RGB", (60, 40), exif=exif), "RGB", None, "x").shape == (40, 60, 3)


@pytest.mark.parametrize("as_array", [False, True])
def test_resize256_is_what_torchvision_makes(tmp_path, as_array):
    from torchvision.transforms import Resize

    images = {path: data for path, data in many_kinds().items() if "1x7" not in path}
    if as_array:
        images = {path: pixels(data, "RGB", None, path) for path, data in images.items()}
    prepare.prepare(dataset_of(images), {}, tmp_path, "resize256", 2)
    store = ImageStore(tmp_path)
    assert (store.shapes[:, :2].min(axis=1) == 256).all()
    for row, path in enumerate(store.index["path"]):
        image = images[path]
        whole = Image.fromarray(image) if as_array else Image.open(io.BytesIO(image))
        assert (store.image(row) == np.asarray(Resize(256)(whole.convert("RGB")))).all(), path


def test_stores_are_those_of_the_config():
    assert set(Recipe.model_fields["store"].annotation.__args__) == set(STORES)


@pytest.mark.parametrize(
    "spoil", [lambda data: data[: len(data) // 2], lambda data: b"<html>", lambda data: b""]
)
@pytest.mark.parametrize("fmt", ["JPEG", "PNG"])
@pytest.mark.parametrize("place", [0, 350])  # among the first, whose headers are read, and beyond
def test_an_unreadable_image_is_named_and_nothing_stays(tmp_path, fmt, spoil, place):
    images = {f"images/{n:03d}.jpg": encoded("RGB", (8, 8)) for n in range(400)}
    name = list(images)[place]
    images[name] = spoil(encoded("RGB", (99, 99), fmt))
    made = dataset_of(images, counts={"train": 267, "test": 133})
    with pytest.raises(DataError, match=f"made: {name} cannot be read as an image") as caught:
        prepare.prepare(made, {}, tmp_path, threads=2)
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_index_is_the_same_whatever_the_order_in_the_archive(tmp_path):
    images = {f"{n:02d}.png": encoded("RGB", (5 + n % 2, 4), "PNG", seed=n % 7) for n in range(20)}
    tables = []
    for number, order in enumerate((None, np.random.default_rng(0).permutation(20))):
        folder = tmp_path / str(number)
        prepare.prepare(dataset_of(images, order), {}, folder, threads=2)
        store = ImageStore(folder)
        for row, path in enumerate(store.index["path"]):
            assert (store.image(row) == pixels(images[path], "RGB", None, path)).all()
        tables.append(store.index)
    assert not tables[1]["offset"].is_monotonic_increasing
    assert tables[0].drop(columns="offset").equals(tables[1].drop(columns="offset"))
    index = tables[0]
    assert index["id"].tolist() == list(range(20))
    assert index["split"].tolist() == sorted(index["split"], reverse=True)  # train first
    for _, part in index.groupby("split"):
        assert part["path"].is_monotonic_increasing
    for row in index.itertuples():
        same = [pixels(images[p], "RGB", None, p) for p in index["path"]]
        copies = [n for n, image in enumerate(same) if np.array_equal(image, same[row.id])]
        assert row.content == copies[0]


def test_images_of_one_shape_come_in_the_order_of_the_rows(tmp_path):
    images = {f"{n}": np.full((2, 3, 1), n, dtype=np.uint8) for n in range(6)}
    prepare.prepare(dataset_of(images, order=[5, 0, 3, 1, 4, 2]), {}, tmp_path)
    store = ImageStore(tmp_path)
    assert (store.shapes == (2, 3, 1)).all()
    paths = store.index["path"].astype(int).tolist()
    assert paths == [0, 1, 3, 4, 2, 5]
    assert [int(store.image(row)[0, 0, 0]) for row in range(6)] == paths


def test_copies_are_marked_and_different_sizes_told(tmp_path):
    first, second = (np.random.default_rng(0).integers(0, 256, (2, n, n, 3)) for n in (4, 5))
    images = {"0": first[0], "1": second[0], "3": second[0], "4": first[0]}
    prepare.prepare(dataset_of(images), {}, tmp_path)
    store = ImageStore(tmp_path)
    assert dict(zip(store.index["path"], store.index["content"], strict=True)) == {
        "0": 0, "1": 1, "4": 0, "3": 1
    }  # fmt: skip
    assert store.shapes[:, 0].tolist() == [4, 5, 4, 5]


def test_a_path_that_comes_twice_is_refused(tmp_path):
    made = dataset_of({"a.png": encoded("RGB", (4, 4), "PNG")}, order=[0, 0])
    with pytest.raises(DataError, match=r"made: a\.png comes twice"):
        prepare.prepare(made, {}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_without_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no image"):
        prepare.prepare(dataset_of({}), {}, tmp_path)


def test_wrong_counts_are_refused_and_leave_nothing(tmp_path):
    images = {str(n): np.zeros((2, 2, 3), dtype=np.uint8) for n in range(4)}
    with pytest.raises(DataError, match=r"made: train has 3 images, published are 4"):
        prepare.prepare(dataset_of(images, counts={"train": 4}), {}, tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="train has 2 classes of colour, published are 5"):
        prepare.prepare(dataset_of(images, counts={"train:colour": 5}), {}, tmp_path)


def test_a_crash_in_the_middle_leaves_what_was_there_before(tmp_path):
    images = {f"{n:03d}": encoded("RGB", (6, 6), "PNG", seed=n) for n in range(400)}
    whole = dataset_of(images)

    class Crashes(whole):
        """Stops in the middle of the archive."""

        def records(self, raw):
            for number, record in enumerate(super().records(raw)):
                if number == 350:
                    raise KeyboardInterrupt
                yield record

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(Crashes, {}, tmp_path, threads=2)
    assert list(tmp_path.iterdir()) == []
    prepare.prepare(whole, {}, tmp_path, threads=2)
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(kept) == {"index.parquet", "pixels.bin"}
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(Crashes, {}, tmp_path, threads=2)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == kept
    assert threading.active_count() == before


def test_a_store_of_another_index_is_refused(tmp_path):
    prepare.prepare(dataset_of({"a": np.zeros((3, 4, 1), dtype=np.uint8)}), {}, tmp_path)
    (tmp_path / "pixels.bin").write_bytes(b"short")
    with pytest.raises(DataError, match="does not belong to"):
        ImageStore(tmp_path)
    (tmp_path / "index.parquet").unlink()
    with pytest.raises(DataError, match="run the prepare step first"):
        ImageStore(tmp_path)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_keep_the_order_and_take_few_items_ahead(threads):
    taken, ahead = [], []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    made = prepare.in_threads(lambda n: n * n, items(), threads)
    for number, result in enumerate(made):
        assert result == number * number
        ahead.append(len(taken) - 1 - number)
    assert max(ahead) < 4 * threads


def test_threads_stop_where_one_fails():
    taken = []

    def fails(number):
        if number == 5:
            raise DataError("five")
        return number

    made = prepare.in_threads(fails, (taken.append(n) or n for n in range(1000)), 2)
    results = []
    with pytest.raises(DataError, match="five"):
        results.extend(made)
    assert results == list(range(5))
    assert len(taken) <= 5 + 2 + 2


def test_the_size_is_told_first_and_a_small_disk_refused(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="dmlbench")
    images = {f"{n}": encoded("RGB", (100, 50)) for n in range(3)}
    made = dataset_of(images, counts={"train": 2, "test": 1})
    prepare.prepare(made, {}, tmp_path / "a", "resize256")
    assert "made/resize256: the store will take 1.2 MB of disk" in caplog.messages[0]
    assert (tmp_path / "a" / "pixels.bin").stat().st_size == 3 * 256 * 512 * 3
    images["3"] = encoded("RGB", (10, 50))
    made = dataset_of(images, counts={"train": 3, "test": 1})
    prepare.prepare(made, {}, tmp_path / "b")
    assert "will take about 0.0 MB of disk" in caplog.text
    usage = type("Usage", (), {"free": 40_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DataError, match=r"the store takes about 0\.0 MB, but .*/c has only 0\.0"):
        prepare.prepare(made, {}, tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []


def test_a_disk_that_runs_full_is_told(tmp_path):
    with (
        pytest.raises(DataError, match="No space left on device"),
        disk.disk_full_is_told(tmp_path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(DataError, match="File too large"),
        disk.disk_full_is_told(tmp_path),
    ):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    with pytest.raises(PermissionError), disk.disk_full_is_told(tmp_path):
        raise PermissionError(errno.EACCES, "no")
