"""Prepared images and tables that were changed by something else than the step that makes them."""

import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import config_with, run_script
from training_runs import RUN, config_file

from dmlbench import paths
from dmlbench.config import resolve_config
from dmlbench.config.recipe import Recipe
from dmlbench.data.reader import ImageReader
from dmlbench.data.store import ImageStore
from dmlbench.errors import DataError
from dmlbench.files import read_parquet, write_parquet


@pytest.fixture
def prepared(store, tmp_path):
    """A copy of prepared digits, to be spoilt."""
    return shutil.copytree(store._places[0], tmp_path / "prepared")


def spoil(file, first, count):
    """Change bytes in place: size and name stay."""
    with file.open("r+b") as stream:
        stream.seek(first)
        changed = bytes(255 - byte for byte in stream.read(count))
        stream.seek(first)
        stream.write(changed)


@pytest.fixture(scope="module")
def table():
    """A table with every kind of column that steps write."""
    columns = {
        "id": np.arange(4),
        "path": [f"c{number}/0.png" for number in range(4)],
        "same": [True, False, True, True],
        "value": np.linspace(0, 1, 4),
        "crc32": np.arange(4, dtype=np.uint32),
        "trained_on": pd.array([True, None, False, True], dtype="boolean"),
    }
    made = pd.DataFrame(columns)
    made.attrs["sha256"] = "abcd"
    return made


def test_a_table_comes_back_as_it_was_written(tmp_path, table):
    write_parquet(tmp_path / "a.parquet", table)
    read = read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read, table)
    assert read.attrs == table.attrs
    some = read_parquet(tmp_path / "a.parquet", columns=["path"])
    pd.testing.assert_frame_equal(some, table[["path"]])
    write_parquet(tmp_path / "b.parquet", pd.read_parquet(tmp_path / "a.parquet"))
    assert read_parquet(tmp_path / "b.parquet").equals(table)


def test_no_flipped_bit_of_a_table_goes_unseen(tmp_path, table):
    file = tmp_path / "a.parquet"
    write_parquet(file, table)
    whole, told = file.read_bytes(), Counter()
    for place in range(0, len(whole), 13):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        file.write_bytes(spoilt)
        try:
            read = read_parquet(file)
        except DataError as error:
            told[str(error).rpartition("; ")[2]] += 1
            continue
        # Such as a statistic that nobody reads.
        pd.testing.assert_frame_equal(read, table)
        assert read.attrs == table.attrs
        told["harmless"] += 1
    assert told["delete it, and run again"] > len(whole) // 26
    assert len(told) == 2


@pytest.mark.parametrize("content", [b"", b"PAR1", b"something else entirely, PAR1"])
def test_a_table_that_is_none_is_one_line(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"a.parquet: damaged .*; delete it, and run again") as told:
        read_parquet(tmp_path / "a.parquet")
    assert "\n" not in str(told.value)


def test_a_cut_table_is_one_line(tmp_path, table):
    file = tmp_path / "a.parquet"
    write_parquet(file, table)
    whole = file.read_bytes()
    for size in range(0, len(whole), 97):
        file.write_bytes(whole[:size])
        with pytest.raises(DataError, match="damaged"):
            read_parquet(file)


def test_a_table_of_another_hand_is_refused(tmp_path, table):
    table.to_parquet(tmp_path / "a.parquet", index=False)
    with pytest.raises(DataError, match="not what was written there"):
        read_parquet(tmp_path / "a.parquet")


def test_changed_pixels_are_told_when_they_are_read(prepared):
    spoil(prepared / paths.PIXELS_FILE, 10 * 64, 64)  # the eleventh image of 8 x 8 in the store
    store = ImageStore(prepared)
    changed = int(np.flatnonzero(store.starts == 10 * 64)[0])
    for row in range(len(store.index)):
        if row != changed:
            store.image(row)
    path = store.index["path"].iloc[changed]
    for _ in range(2):  # not only the first time
        with pytest.raises(DataError, match=f"pixels.bin: the pixels of '{path}' are not those"):
            store.image(changed)


def test_pixels_of_a_copy_are_compared_and_the_original_is_named(prepared, tmp_path):
    copy = shutil.copytree(prepared, tmp_path / "scratch")
    spoil(copy / paths.PIXELS_FILE, 0, 64)
    store = ImageStore(copy, prepared)
    row = int(np.flatnonzero(store.starts == 0)[0])
    with pytest.raises(DataError) as told:
        store.image(row)
    assert f"{prepared}/pixels.bin or its copy in {copy}" in str(told.value)
    assert f"delete {prepared}/pixels.bin and run again" in str(told.value)


def test_two_images_that_change_places_are_told(prepared):
    file = prepared / paths.PIXELS_FILE
    pixels = file.read_bytes()
    file.write_bytes(pixels[64:128] + pixels[:64] + pixels[128:])
    with pytest.raises(DataError, match="are not those that were prepared"):
        ImageReader(ImageStore(prepared), recipe(), 0)


def recipe():
    given = {"backbone": "small_cnn", "embedding_dim": 4, "batch_size": 8, "epochs": 1}
    return Recipe(**given).model_dump(mode="json")


def test_worker_processes_tell_it_in_one_line(prepared):
    flip = recipe() | {"train_transforms": ["RandomHorizontalFlip"]}
    store = ImageStore(prepared)
    reader = ImageReader(store, flip, 0)
    reader._loader = torch.utils.data.DataLoader(
        reader._views, batch_sampler=reader._places, num_workers=1
    )
    spoil(prepared / paths.PIXELS_FILE, 64 * 700, 64)
    row = np.flatnonzero(store.starts == 64 * 700)
    with pytest.raises(DataError, match=r"^[^\n]*are not those that were prepared[^\n]*$"):
        list(reader.batches([row], [row]))


def test_a_training_on_changed_pixels_ends_with_one_line(tmp_path):
    file = config_file(tmp_path)
    pixels = tmp_path / paths.PIXELS.format(dataset="digits_even_odd", store="original")
    spoil(pixels, 0, 40_000)
    done = run_script("train", "--config", file, "--run", RUN, cwd=tmp_path)
    assert done.returncode == 2
    assert "are not those that were prepared; delete data/prepared/digits_even_odd" in done.stderr
    assert "Traceback" not in done.stderr
    plan = resolve_config(config_with(), "test")
    assert not (tmp_path / plan.run_folder(plan.run_by_id(RUN)) / "run.json").exists()
