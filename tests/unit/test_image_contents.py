"""A user's own images that change, whatever their sizes and times say."""

import os
import shutil

import pandas as pd
import pytest
from conftest import run_snakemake
from PIL import Image

from dmlbench.config.own_datasets import own_content
from dmlbench.config.own_images import FolderDataset, TableDataset
from dmlbench.errors import ConfigError

TIME = 1_700_000_000
CLASSES = [f"c{number}" for number in range(4)]


def images(folder):
    """Four classes of two images; all files have one size and one time."""
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for image in range(2):
            file = folder / name / f"{image}.bmp"
            Image.new("RGB", (8, 8), (40 * number, 40 * image, 0)).save(file)
            os.utime(file, (TIME, TIME))
    return folder


def as_folder(folder):
    return FolderDataset(folder=str(folder))


def as_table(folder):
    rows = [(f"{name}/{image}.bmp", name, "test") for name in CLASSES for image in range(2)]
    table = folder.parent / "table.csv"
    rows = pd.DataFrame(rows, columns=["path", "label", "split"])
    rows.assign(path=folder.name + "/" + rows["path"]).to_csv(table, index=False)
    return TableDataset(table=str(table))


def swapped_by_mv(folder):
    one, other = folder / "c0/0.bmp", folder / "c3/0.bmp"
    one.rename(folder / "kept")
    other.rename(one)
    (folder / "kept").rename(other)


def classes_swapped_by_mv(folder):
    (folder / "c0").rename(folder / "kept")
    (folder / "c3").rename(folder / "c0")
    (folder / "kept").rename(folder / "c3")


def copied_with_its_time(folder):
    shutil.copy2(folder / "c3/0.bmp", folder / "c0/0.bmp")


def renamed_over_it_with_its_time(folder):
    shutil.copy2(folder / "c3/0.bmp", folder / "c0/.new")  # as rsync -t does
    (folder / "c0/.new").rename(folder / "c0/0.bmp")


def written_in_place(folder):
    with (folder / "c0/0.bmp").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(folder / "c0/0.bmp", (TIME, TIME))


def removed(folder):
    (folder / "c0/0.bmp").unlink()


@pytest.mark.parametrize(
    "change",
    [
        swapped_by_mv,
        classes_swapped_by_mv,
        copied_with_its_time,
        renamed_over_it_with_its_time,
        written_in_place,
    ],
)
@pytest.mark.parametrize("kind", [as_folder, as_table])
def test_what_changes_with_size_and_time_kept_is_seen(tmp_path, kind, change):
    folder, known = images(tmp_path / "images"), tmp_path / "known.json"
    before = own_content(kind(folder), known)
    change(folder)
    assert own_content(kind(folder), known) != before


@pytest.mark.parametrize("kind", [as_folder, as_table])
def test_the_same_images_are_the_same_whatever_their_times(tmp_path, kind):
    folder, known = images(tmp_path / "images"), tmp_path / "known.json"
    before = own_content(kind(folder), known)
    (folder / "c0" / "notes.txt").write_text("no image")
    os.utime(folder / "c0/0.bmp")
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(folder)
    (tmp_path / "copy").rename(folder)
    assert own_content(kind(folder), known) == before
    known.write_text(known.read_text()[:20])  # as after a power cut
    assert own_content(kind(folder), known) == before


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"c0": 5}', '{"c0": []}', '{"c0": ["a"]}', '{"c0": [1, 2]}']
)
def test_what_was_noted_of_images_may_be_damaged(tmp_path, caplog, content):
    folder, known = images(tmp_path / "images"), tmp_path / "known.json"
    before = own_content(as_folder(folder), known)
    whole = known.read_text()
    known.write_text(content)
    assert own_content(as_folder(folder), known) == before
    assert known.read_text() == whole
    (line,) = caplog.messages
    assert str(known) in line
    assert line.endswith("all images are read again")


def test_a_table_that_changes_is_seen(tmp_path):
    folder, known = images(tmp_path / "images"), tmp_path / "known.json"
    before = own_content(as_table(folder), known)
    table = tmp_path / "table.csv"
    table.write_text(table.read_text().replace(",c0,", ",c1,"))
    assert own_content(TableDataset(table=str(table)), known) != before


def bytes_read():
    with open("/proc/self/io") as counts:
        return int(counts.readline().split()[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts of bytes read are Linux's")
def test_only_folders_that_changed_are_read(tmp_path):
    folder, known = images(tmp_path / "images"), tmp_path / "known.json"
    large = 1 << 22
    for name in CLASSES:
        with (folder / name / "0.bmp").open("ab") as file:
            file.truncate(large)
    own_content(as_folder(folder), known)
    started = bytes_read()
    own_content(as_folder(folder), known)
    nothing_changed = bytes_read()
    os.utime(folder / "c1/1.bmp")
    own_content(as_folder(folder), known)
    assert nothing_changed - started < large
    assert large <= bytes_read() - nothing_changed < 2 * large


def test_an_image_that_goes_while_it_is_read_is_one_line(tmp_path):
    folder = images(tmp_path / "images")
    table = as_table(folder)
    removed(folder)
    with pytest.raises(ConfigError, match=r"c0/0.bmp' cannot be used \(No such file"):
        own_content(table, tmp_path / "known.json")


def test_a_label_put_right_has_its_dataset_prepared_again(tmp_path):
    folder = images(tmp_path / "images")
    (tmp_path / "config.yaml").write_text(
        """name: mine
seeds: [0]
datasets: {mine: {folder: images}}
recipes: {r: {backbone: small_cnn, embedding_dim: 4, batch_size: 4, epochs: 1, validation: 0}}
losses: {triplet: {type: triplet, margin: 0.2}}
samplers: {random: {per_class: 2, positive: random, negative: random}}
selections: [last]
experiments: {e: {dataset: mine, recipe: r, methods: [{loss: triplet, sampler: random}]}}
evaluation: {metrics: [recall], recall_at: [1]}
"""
    )
    where = ["--configfile", "config.yaml", "--directory", tmp_path]
    target = "data/prepared/mine/original/index.parquet"
    done = run_snakemake("-c1", target, *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    swapped_by_mv(folder)
    told = run_snakemake("-n", target, *where, cwd=tmp_path).stdout
    assert "prepare mine" in told
    assert "Params have changed" in told
