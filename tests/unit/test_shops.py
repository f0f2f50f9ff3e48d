"""Stanford Online Products and In-Shop from their real tables' form to the index."""

import io
import json
import subprocess
import sys
import zipfile
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from made_shops import IN_SHOP, KINDS, SOP, in_shop_files, in_shop_lines, sop_tables, sop_zip
from PIL import Image

from dmlbench.data import listed_images
from dmlbench.data.dataset import Dataset, get_dataset
from dmlbench.data.datasets import in_shop, sop
from dmlbench.data.prepare import check_counts, prepare
from dmlbench.data.summary import summarise
from dmlbench.errors import DataError

SMALL_SOP = {"train": (30, 13), "test": (40, 14)}
SMALL_IN_SHOP = {"train": (9, 4), "query": (7, 3), "gallery": (5, 3)}


def jpegs(count=5):
    """Images that all differ."""
    images = []
    for value in range(count):
        file = io.BytesIO()
        Image.new("RGB", (4, 3 + value), (value, 9, 200)).save(file, "JPEG")
        images.append(file.getvalue())
    return images


def small(name: str, counts: dict[str, int]) -> type[Dataset]:
    """The dataset with the counts of a small archive in the place of the published ones."""
    cls = get_dataset(name)
    facts = cls.facts.model_copy(update={"counts": counts})
    return type(cls.__name__, (cls,), {"name": name, "facts": facts})


def sop_raw(folder, tables, images=()):
    archive = sop_zip(folder / "Stanford_Online_Products.zip", tables, images)
    return {archive.name: str(archive)}


def without_images(monkeypatch):
    """Records of all listed images, empty; nothing but the tables is read."""

    def read(archive, listed):
        return ((name, what, b"") for name, what in listed.items())

    monkeypatch.setattr(sop, "read_listed", read)
    monkeypatch.setattr(in_shop, "read_listed", read)


def index_of(name, raw):
    dataset = get_dataset(name)
    rows = [
        {"path": r.path, "split": r.split, "subset": r.subset, "role": r.role} | r.labels
        for r in dataset().records(raw)
    ]
    return dataset, pd.DataFrame(rows)


def test_products_go_from_the_archive_to_the_index(tmp_path):
    counts = {"train": 30, "test": 40, "train:product": 13, "test:product": 14}
    dataset = small("sop", counts | {"train:super_class": 12, "test:super_class": 12})
    tables = sop_tables(SMALL_SOP)
    index = prepare(dataset, sop_raw(tmp_path, tables, jpegs()), tmp_path / "out")
    expected = {}
    for split, lines in tables.items():
        for line in lines[1:]:
            _, product, number, path = line.split()
            expected[path] = (split, int(product), KINDS[int(number) - 1])
    found = index.set_index("path")[["split", "product", "super_class"]]
    assert dict(zip(found.index, found.itertuples(index=False, name=None), strict=True)) == expected
    products = index.groupby("split")["product"].agg(set)
    assert not products["train"] & products["test"]
    assert "role" not in index


def test_clothes_go_from_the_archive_to_queries_and_gallery(tmp_path):
    counts = {"train": 9, "test": 12, "test@query": 7, "test@gallery": 5, "train:item": 4}
    dataset = small("in_shop", counts | {"test:item": 3, "test@gallery:item": 3})
    raw = in_shop_files(tmp_path, in_shop_lines(SMALL_IN_SHOP), jpegs())
    index = prepare(dataset, raw, tmp_path / "out")
    assert Counter(index["role"]) == {"": 9, "query": 7, "gallery": 5}
    assert (index["split"] == "train").eq(index["role"] == "").all()
    assert index["path"].str.startswith("img/WOMEN/").all()
    assert (index["item"] == index["path"].str.split("/").str[3]).all()
    none = pd.DataFrame({"same": []})
    told = summarise("in_shop", index, none)
    rows = [[w.strip() for w in line.split("|")[1:4]] for line in told.splitlines() if "|" in line]
    for row in (["test", "12", "item"], ["test@query", "7", "item"], ["test@gallery", "5", "item"]):
        assert row in rows
    assert "role" not in told


def test_the_full_tables_have_the_published_counts(tmp_path, monkeypatch):
    without_images(monkeypatch)
    for name in ("sop", "sop_super_class"):
        check_counts(*index_of(name, sop_raw(tmp_path, sop_tables())))
    check_counts(*index_of("in_shop", in_shop_files(tmp_path, in_shop_lines(), ())))
    facts = get_dataset("in_shop").facts
    assert facts.counts["test"] == IN_SHOP["query"][0] + IN_SHOP["gallery"][0]
    assert get_dataset("sop").facts.counts["test"] == SOP["test"][0]


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ("train", r"sop: train has 59,550 images, published are 59,551"),
        ("test", r"sop: test has 60,501 images, published are 60,502"),
    ],
)
def test_products_that_lack_one_row_are_refused(split, told, tmp_path, monkeypatch):
    without_images(monkeypatch)
    tables = sop_tables()
    tables[split].pop()
    with pytest.raises(DataError, match=told):
        check_counts(*index_of("sop", sop_raw(tmp_path, tables)))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (2, r"in_shop: train has 25,881 images, published are 25,882"),
        (IN_SHOP["train"][0] + 2, r"in_shop: test has 26,829 images, published are 26,830"),
        (-1, r"in_shop: test has 26,829 images, published are 26,830"),
    ],
)
def test_clothes_that_lack_one_row_are_refused(row, told, tmp_path, monkeypatch):
    without_images(monkeypatch)
    lines = in_shop_lines()
    lines.pop(row)
    with pytest.raises(DataError, match=r"announces '52712' rows and has 52711$"):
        index_of("in_shop", in_shop_files(tmp_path, lines, ()))
    lines[0] = str(len(lines) - 2)
    with pytest.raises(DataError, match=told):
        check_counts(*index_of("in_shop", in_shop_files(tmp_path, lines, ())))


def test_a_query_that_became_part_of_the_gallery_is_refused(tmp_path, monkeypatch):
    without_images(monkeypatch)
    lines = in_shop_lines()
    place = IN_SHOP["train"][0] + 2
    lines[place] = lines[place].replace(" query", " gallery")
    with pytest.raises(DataError, match=r"test@query has 14,217 images, published are 14,218"):
        check_counts(*index_of("in_shop", in_shop_files(tmp_path, lines, ())))


def test_an_image_that_the_table_lists_and_the_archive_lacks_is_named(tmp_path):
    images = [(name, b"x") for name in ("a.jpg", "c.jpg")]
    archive = tmp_path / "img.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in images:
            file.writestr(name, content)
    read = listed_images.read_listed(archive, dict.fromkeys(("a.jpg", "b.jpg", "d.jpg"), 0))
    assert next(read) == ("a.jpg", 0, b"x")
    with pytest.raises(DataError, match=r"img.zip: 2 images that its table lists .* as b\.jpg"):
        next(read)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: lines.__setitem__(0, "id path"), r"its columns should be 'image_id class"),
        (lambda lines: lines.clear(), r"its columns should be .* but there is 'nothing'"),
        (lambda lines: lines.__setitem__(3, "3 4 5"), r"row 3 has 3 values, should be 4 \(image"),
        (lambda lines: lines.__setitem__(3, "3 x 5 fan_final/1.JPG"), r"row 3: class_id is 'x'"),
        (lambda lines: lines.__setitem__(3, "3 4 1 fan_final/1.JPG"), r"do not belong together"),
    ],
)
def test_a_table_of_products_in_another_form_is_told(change, told, tmp_path):
    tables = sop_tables(SMALL_SOP)
    change(tables["train"])
    with pytest.raises(DataError, match=told):
        list(get_dataset("sop")().records(sop_raw(tmp_path, tables)))


def test_products_without_their_table_are_told(tmp_path):
    tables = {"train": sop_tables(SMALL_SOP)["train"]}
    with pytest.raises(DataError, match=r"has no Stanford_Online_Products/Ebay_test\.txt"):
        list(get_dataset("sop")().records(sop_raw(tmp_path, tables)))


@pytest.mark.parametrize(
    ("place", "line", "told"),
    [
        (0, "22", r"announces '22' rows and has 21"),
        (0, "<html>", r"announces '<html>' rows"),
        (1, "image_name item_id", r"its columns should be 'image_name item_id evaluation_status'"),
        (4, "a.jpg id_1", r"row 3 has 2 values, should be 3"),
        (4, "a.jpg id_1 val", r"row 3: evaluation_status is 'val', should be one of train, query"),
    ],
)
def test_a_table_of_clothes_in_another_form_is_told(place, line, told, tmp_path):
    lines = in_shop_lines(SMALL_IN_SHOP)
    lines[place] = line
    with pytest.raises(DataError, match=told):
        list(get_dataset("in_shop")().records(in_shop_files(tmp_path, lines, ())))


def test_tables_of_windows_and_unusual_spaces_are_read(tmp_path):
    lines = in_shop_lines(SMALL_IN_SHOP)
    plain = index_of("in_shop", in_shop_files(tmp_path, lines, jpegs()))[1]
    (tmp_path / "list_eval_partition.txt").write_bytes("\r\n".join(lines).encode())
    raw = {file.name: str(file) for file in tmp_path.iterdir()}
    again = index_of("in_shop", raw)[1]
    assert np.array_equal(plain.to_numpy(), again.to_numpy())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "images"), [("sop", 120_053), ("in_shop", 52_712)])
def test_the_full_sets_are_prepared_in_bounded_memory(name, images, tmp_path):
    """Every row of the real size with a tiny image; the published counts hold."""
    if name == "sop":
        raw = sop_raw(tmp_path, sop_tables(), jpegs(1))
    else:
        raw = in_shop_files(tmp_path, in_shop_lines(), jpegs(1))
    code = (
        "import json, resource, sys, time; from pathlib import Path\n"
        "from dmlbench.data.dataset import get_dataset\n"
        "from dmlbench.data.prepare import prepare\n"
        "raw, start = json.loads(sys.argv[2]), time.monotonic()\n"
        "index = prepare(get_dataset(sys.argv[1]), raw, Path(sys.argv[3]), threads=2)\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(len(index), peak, time.monotonic() - start)"
    )
    # A shell between: the peak of this process would count otherwise.
    command = ["sh", "-c", '"$@"; true', "sh", sys.executable, "-c", code, name]
    command += [json.dumps(raw), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    rows, peak, seconds = done.stdout.split()
    print(f"{name}: {int(rows):,} images, {int(peak) / 1e3:.0f} MB, {float(seconds):.0f} s")
    assert int(rows) == images
    assert int(peak) < 700_000  # kB; the libraries are 130 MB of it
