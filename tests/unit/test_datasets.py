"""Splits and counts of the datasets, from their real names and tables; the images are made."""

import io
import subprocess
import sys
import tarfile
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from dmlbench.data.dataset import get_dataset
from dmlbench.data.datasets import cars196
from dmlbench.data.datasets.lfw import read_folds
from dmlbench.data.prepare import check_counts, prepare
from dmlbench.data.read_archive import read_rows
from dmlbench.data.splits import run_index
from dmlbench.data.store import ImageStore
from dmlbench.data.verification_pairs import (
    all_pairs,
    clean,
    of_run,
    pair_table,
    read_pairs,
)
from dmlbench.errors import DataError


def jpeg(mode: str, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 64).convert(mode).save(file, "JPEG")
    return file.getvalue()


#: Colour, gray among colour as CUB has it, upright, and one that is large for its kind.
SHAPES = [("RGB", (4, 3)), ("L", (3, 4)), ("RGB", (2, 9)), ("CMYK", (5, 5)), ("RGB", (120, 80))]
JPEGS = [jpeg(*shape) for shape in SHAPES]


def made(names) -> dict[str, bytes]:
    """An image for each name; neighbours differ in kind and size."""
    return {name: JPEGS[number % len(JPEGS)] for number, name in enumerate(names)}


def tgz(path, members):
    """An archive of ``members``: name to content."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def table_of(name, raw):
    """The index of a dataset without its pixels."""
    dataset = get_dataset(name)
    rows = [
        {"path": r.path, "split": r.split, "subset": r.subset, **r.labels}
        for r in dataset().records({k: str(v) for k, v in raw.items()})
    ]
    return dataset, pd.DataFrame(rows).sort_values("path").reset_index(drop=True)


def cub(folder, shared_data, images=None):
    metadata = shared_data / "cub200" / "CUB_200_2011"
    members = {f"CUB_200_2011/{f.name}": f.read_bytes() for f in metadata.glob("*.txt")}
    names = [line.split()[1] for line in (metadata / "images.txt").read_text().splitlines()]
    members |= made(f"CUB_200_2011/images/{name}" for name in (images or names))
    return {"CUB_200_2011.tgz": tgz(folder / "CUB_200_2011.tgz", members)}


def devkit(folder, shared_data):
    files = (shared_data / "cars196/devkit").iterdir()
    members = {f"devkit/{f.name}": f.read_bytes() for f in files}
    return {"car_devkit.tgz": tgz(folder / "car_devkit.tgz", members)}


def cars(folder, shared_data):
    raw = devkit(folder, shared_data)
    for part, count in (("train", 8144), ("test", 8041)):
        members = made(f"cars_{part}/{n:05d}.jpg" for n in range(1, count + 1))
        raw[f"cars_{part}.tgz"] = tgz(folder / f"cars_{part}.tgz", members)
    labels = "cars_test_annos_withlabels.mat"
    return raw | {labels: shared_data / "cars196" / labels}


def lfw(folder, shared_data, archive="lfw.tgz", top="lfw"):
    tables = {f.name: f for f in (shared_data / "lfw").glob("*.txt")}
    people = [line.split("\t") for line in tables["lfw-names.txt"].read_text().splitlines()]
    members = made(
        f"{top}/{name}/{name}_{n:04d}.jpg"
        for name, count in people
        for n in range(1, int(count) + 1)
    )
    return tables | {archive: tgz(folder / archive, members)}


def cars_parquet(folder, shared_data, change=lambda labels: labels):
    """The two parts in two files each, labels from 0, as the mirror has them."""
    tables = {
        "train": "devkit/cars_train_annos.mat",
        "test": "cars_test_annos_withlabels.mat",
    }
    raw = devkit(folder, shared_data)
    for part, table in tables.items():
        rows = loadmat(shared_data / "cars196" / table, squeeze_me=True)["annotations"]
        values = change([int(row["class"]) - 1 for row in rows])
        images = [{"bytes": content, "path": None} for content in made(range(len(values))).values()]
        for number, rows in enumerate((slice(0, 5000), slice(5000, None))):
            name = f"{part}-{number:05d}-of-00002.parquet"
            table = {"image": images[rows], "label": values[rows], "more": values[rows]}
            pq.write_table(pa.table(table), folder / name, row_group_size=1000)
            raw[name] = folder / name
    return raw


def lfw_a(folder, shared_data):
    return lfw(folder, shared_data, "lfwa.tar.gz", "lfw2")


@pytest.mark.parametrize(
    ("name", "made_raw"),
    [("cub200", cub), ("cars196", cars), ("cars196", cars_parquet), ("lfw", lfw), ("lfw_a", lfw_a)],
)
def test_every_image_goes_from_the_archive_to_the_store(name, made_raw, tmp_path, shared_data):
    raw = {k: str(v) for k, v in made_raw(tmp_path, shared_data).items()}
    dataset = get_dataset(name)
    prepare(dataset, raw, tmp_path / "out", threads=2)  # asserts the published counts
    store = ImageStore(tmp_path / "out")
    decoded = {content: as_array(content, dataset.facts.mode) for content in JPEGS}
    rows = dict(zip(store.index["path"], range(len(store.index)), strict=True))
    for record in dataset().records(raw):
        assert (store.image(rows.pop(record.path)) == decoded[record.image]).all()
    assert not rows


def as_array(content: bytes, mode: str) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert(mode))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def test_cub_has_the_published_classes_and_counts(tmp_path, shared_data):
    dataset, index = table_of("cub200", cub(tmp_path, shared_data))
    check_counts(dataset, index)
    numbers = index["species"].str[:3].astype(int)
    assert (numbers[index["split"] == "train"] <= 100).all()
    assert (numbers[index["split"] == "test"] > 100).all()
    metadata = shared_data / "cub200" / "CUB_200_2011" / "image_class_labels.txt"
    published = [int(line.split()[1]) for line in metadata.read_text().splitlines()]
    assert (np.bincount(numbers) == np.bincount(published)).all()


def test_an_image_that_no_table_lists_is_named(tmp_path, shared_data):
    raw = cub(tmp_path, shared_data, images=["001.Black_footed_Albatross/extra.jpg"])
    with pytest.raises(DataError, match=r"001.Black_footed_Albatross/extra.jpg is not in images"):
        table_of("cub200", raw)


def test_cars_are_split_by_label_and_not_by_folder(tmp_path, shared_data):
    dataset, index = table_of("cars196", cars(tmp_path, shared_data))
    check_counts(dataset, index)
    assert index.groupby("split")["model"].agg(["min", "max"]).to_numpy().tolist() == [
        [99, 196],
        [1, 98],
    ]
    in_train_folder = index["path"].str.startswith("cars_train/")
    assert 0 < (in_train_folder & (index["split"] == "test")).sum() < in_train_folder.sum()


def test_rows_with_other_models_than_the_devkit_are_refused(tmp_path, shared_data):
    raw = cars_parquet(tmp_path, shared_data, change=lambda labels: [195 - x for x in labels])
    with pytest.raises(DataError, match=r"have other numbers of images of \d+ models than"):
        table_of("cars196", raw)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PAR1 nothing more", r"a damaged Parquet file"),
        ({"picture": [1]}, r"has no column image or label"),
        ({"image": [b"x" * 100_000] * 1000, "label": [0] * 1000}, r"unpacks to more than"),
    ],
)
def test_a_parquet_file_that_is_none_of_ours(content, told, tmp_path):
    file = tmp_path / "a.parquet"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        pq.write_table(pa.table(content), file)
    with pytest.raises(DataError, match=rf"a\.parquet:? {told}"):
        list(read_rows(file, ["image", "label"]))


@pytest.mark.parametrize("kind", ["many values", "one value many times"])
def test_a_small_file_of_rows_cannot_fill_the_memory(kind, tmp_path):
    file = tmp_path / "bomb.parquet"
    large = bytes(60 << 20)
    if kind == "many values":
        images = pa.array([large[:-1] + bytes([n]) for n in range(30)])
    else:
        images = pa.DictionaryArray.from_arrays(pa.array([0] * 500), pa.array([large]))
    table = pa.table({"image": images, "label": [0] * len(images)})
    pq.write_table(table, file, compression="zstd", use_dictionary=kind != "many values")
    assert file.stat().st_size < 100_000
    del images, table
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from dmlbench.data.read_archive import read_rows\n"
        "try:\n    list(read_rows(Path(sys.argv[1]), ['image', 'label']))\n"
        "except Exception as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    # vfork'd children inherit the peak of their parent on Linux; a shell between them does not.
    command = ["sh", "-c", '"$@"; true', "sh", sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    told, peak = done.stdout.splitlines()
    assert "the archive is refused" in told
    assert int(peak) < 600_000


GOOD = {"bytes": b"x", "path": None}


@pytest.mark.parametrize(
    ("images", "labels", "told"),
    [
        ([GOOD, GOOD], [0, None], r"row 2: the label is None, should be 0 to 195"),
        ([GOOD], ["Audi"], r"row 1: the label is 'Audi', should be"),
        ([GOOD], [196], r"row 1: the label is 196, should be"),
        ([GOOD], [-1], r"row 1: the label is -1, should be"),
        ([GOOD], [0.5], r"row 1: the label is 0\.5, should be"),
        ([GOOD, None], [0, 0], r"row 2: the image has no bytes"),
        ([b"plain"], [0], r"row 1: the image has no bytes"),
        ([{"path": "a.jpg"}], [0], r"row 1: the image has no bytes"),
        ([{"bytes": None, "path": "a"}], [0], r"row 1: the image has no bytes"),
        ([{"bytes": "text", "path": "a"}], [0], r"row 1: the image has no bytes"),
    ],
)
def test_rows_that_are_no_images_of_cars_are_named(images, labels, told, tmp_path, shared_data):
    raw = devkit(tmp_path, shared_data)
    name = "train-00000-of-00002.parquet"
    raw[name] = tmp_path / name
    pq.write_table(pa.table({"image": images, "label": labels}), raw[name])
    with pytest.raises(DataError, match=told):
        table_of("cars196", raw)


def test_the_test_counts_of_cars_are_those_of_the_annotations(tmp_path, shared_data):
    file = shared_data / "cars196/cars_test_annos_withlabels.mat"
    rows = loadmat(file, squeeze_me=True)["annotations"]
    assert Counter(int(row["class"]) for row in rows) == cars196.published_test()

    def swap(labels):  # one image of the test part with another label, and none of the training
        return labels if len(labels) == 8144 else [(labels[0] + 1) % 196, *labels[1:]]

    with pytest.raises(DataError, match=r"test-\*\.parquet have other .* of 2 models"):
        table_of("cars196", cars_parquet(tmp_path, shared_data, swap))


def test_cars_in_one_folder_are_the_same_split(tmp_path):
    kinds = [("relative_im_path", "O"), ("class", "O"), ("test", "O")]
    rows = [(f"car_ims/{n:06d}.jpg", 196 if n % 2 else 98, n % 3 == 0) for n in range(1, 9)]
    names = np.array([f"Make{n % 3} Model{n}" for n in range(1, 197)], dtype=object)
    annotations = {"annotations": np.array(rows, dtype=kinds), "class_names": names}
    savemat(tmp_path / "cars_annos.mat", annotations)
    images = made(row[0] for row in rows)
    raw = {
        "car_ims.tgz": tgz(tmp_path / "car_ims.tgz", images),
        "cars_annos.mat": tmp_path / "cars_annos.mat",
    }
    _, index = table_of("cars196", raw)
    assert index.groupby("model")["split"].unique().str[0].to_dict() == {98: "train", 196: "test"}
    assert len(index) == 8
    _, with_makes = table_of("cars196_make", raw)
    assert with_makes.groupby("model")["make"].unique().to_dict() == {98: ["Make2"], 196: ["Make1"]}
    (tmp_path / "cars_annos.mat").write_bytes(b"no matlab")
    with pytest.raises(DataError, match=r"cars_annos.mat: not the annotations of Cars196"):
        table_of("cars196", raw)


@pytest.mark.parametrize("made_raw", [cars, cars_parquet])
def test_makes_of_cars_hold_models_and_are_on_one_side(made_raw, tmp_path, shared_data):
    dataset, index = table_of("cars196_make", made_raw(tmp_path, shared_data))
    check_counts(dataset, index)
    _, plain = table_of("cars196", made_raw(tmp_path, shared_data))
    assert index.drop(columns="make").equals(plain)
    assert (index.groupby("model")["make"].nunique() == 1).all()
    makes = index.groupby("split")["make"].agg(set)
    assert not makes["train"] & makes["test"]
    assert len(makes["train"] | makes["test"]) == 49
    names = loadmat(shared_data / "cars196/devkit/cars_meta.mat", squeeze_me=True)["class_names"]
    for model, make in index[["model", "make"]].drop_duplicates().itertuples(index=False):
        assert names[model - 1].startswith(f"{make} ")
    # No make is the first word of a longer one: a model's first word names it, but for three.
    assert {make for make in makes["train"] | makes["test"] if " " in make} == {
        *("AM General", "Aston Martin", "Land Rover")
    }


def test_names_of_models_that_are_not_there_are_told(tmp_path, shared_data):
    raw = cars(tmp_path, shared_data)
    content = (shared_data / "cars196/devkit/cars_train_annos.mat").read_bytes()
    tgz(raw["car_devkit.tgz"], {"devkit/cars_train_annos.mat": content})
    with pytest.raises(DataError, match=r"car_devkit.tgz: no names of the models of Cars196"):
        table_of("cars196_make", raw)


@pytest.mark.parametrize(
    ("name", "archive"), [("lfw", "lfw.tgz"), ("lfw_funneled", "lfw-funneled.tgz")]
)
def test_lfw_has_the_published_people_and_nobody_twice(name, archive, tmp_path, shared_data):
    dataset, index = table_of(name, lfw(tmp_path, shared_data, archive, name))
    check_counts(dataset, index)
    people = index.groupby("split")["person"].unique()
    assert not set(people["train"]) & set(people["test"])
    several = index[index["split"] == "train"]["person"].value_counts() > 1
    assert several.sum() == 1184


def fold_of(index, fold):
    return run_index(index, {"test_fold": fold, "validation": 0}, "lfw_view2", "person")


def test_view_2_has_ten_folds_and_a_run_trains_on_nine_of_them(tmp_path, shared_data):
    dataset, index = table_of("lfw_view2", lfw(tmp_path, shared_data))
    check_counts(dataset, index)
    index["id"] = np.arange(len(index))
    files = {"view2": shared_data / "lfw" / "pairs.txt"}
    for fold in (1, 7):
        mine = fold_of(index, fold)
        people = mine.groupby("split")["person"].unique()
        assert not set(people["train"]) & set(people["test"])
        assert len(people["train"]) >= dataset.facts.train_classes
        pairs = all_pairs(files, mine)
        assert (pairs["trained_on"] == (pairs["fold"] != fold)).all()
        whole = of_run(all_pairs(files, index), mine, "person")
        assert (whole["trained_on"] == pairs["trained_on"]).all()
        assert len(clean(whole)) == 600


def test_pairs_of_a_dataset_in_folds_are_never_clean_without_a_fold(tmp_path, shared_data):
    _, index = table_of("lfw_view2", lfw(tmp_path, shared_data))
    index["id"] = np.arange(len(index))
    all_pairs({"view2": shared_data / "lfw" / "pairs.txt"}, index).to_parquet(tmp_path / "pairs")
    pairs = pd.read_parquet(tmp_path / "pairs")
    assert pairs["trained_on"].isna().all()
    with pytest.raises(DataError, match=r"view2: these people are in folds.*name its test_fold"):
        clean(pairs)
    for fold in range(1, 11):
        left = clean(of_run(pairs, fold_of(index, fold), "person"))
        assert set(left["fold"]) == {fold}
        assert len(left) == 600
    with pytest.raises(DataError, match="no training images; of a dataset in folds, name one"):
        of_run(pairs, index, "person")


def test_pairs_without_word_of_whom_training_saw_are_refused():
    pairs = read_pairs("1\na\t1\t2\nb\t1\tc\t1", "pairs.txt")
    index = pd.DataFrame({"path": [f"{p}/{p}_000{n}.jpg" for p in "abc" for n in (1, 2)]})
    index = index.assign(id=range(6), person=index["path"].str[0], split="test")
    with pytest.raises(DataError, match="made: the index has neither training images nor folds"):
        pair_table(pairs, index, "made")
    index["split"] = ["fold1", "fold2", "fold1", "fold1", "fold2", "fold2"]
    with pytest.raises(DataError, match="made: a is in two splits of the dataset"):
        pair_table(pairs, index, "made")


@pytest.mark.parametrize("text", ["2\na\t1", "1\na\t1\nb\t2", "1\na\tx", "2\n1\na\t1\n2\nb\t1", ""])
def test_a_damaged_file_of_people_is_named(text, tmp_path):
    (tmp_path / "people.txt").write_text(text)
    with pytest.raises(DataError, match=r"people.txt: no file of people"):
        read_folds(tmp_path / "people.txt")


def test_a_person_with_an_image_too_few_is_named(tmp_path, shared_data):
    raw = lfw(tmp_path, shared_data)
    with tarfile.open(raw["lfw.tgz"]) as archive:
        members = made(m.name for m in archive)
    members.pop("lfw/Abdullah_Gul/Abdullah_Gul_0007.jpg")
    tgz(raw["lfw.tgz"], members)
    with pytest.raises(DataError, match="Abdullah_Gul has 18 images, published are 19"):
        table_of("lfw", raw)


def lfw_pairs(shared_data, file):
    return read_pairs((shared_data / "lfw" / file).read_text(), file)


def test_pairs_are_those_of_the_files(shared_data):
    pairs = lfw_pairs(shared_data, "pairs.txt")
    assert len(pairs) == 6000
    for _, fold in pairs.groupby("fold"):
        assert fold["same"].tolist() == [True] * 300 + [False] * 300
    assert pairs["left"][0] == "Abel_Pacheco/Abel_Pacheco_0001.jpg"
    assert pairs["right"][0] == "Abel_Pacheco/Abel_Pacheco_0004.jpg"
    folds = [
        {path.partition("/")[0] for path in [*fold["left"], *fold["right"]]}
        for _, fold in pairs.groupby("fold")
    ]
    assert len(folds) == 10
    assert sum(map(len, folds)) == len(set().union(*folds))  # nobody is in two folds


def test_nobody_of_the_view_1_test_is_trained_on_and_most_of_view_2_is(
    tmp_path, shared_data, caplog
):
    _, index = table_of("lfw", lfw(tmp_path, shared_data))
    index["id"] = np.arange(len(index))
    files = {
        name: shared_data / "lfw" / file for name, file in get_dataset("lfw").facts.views.items()
    }
    pairs = dict(list(all_pairs(files, index).groupby("view")))
    assert len(clean(pairs["view1"])) == 1000
    assert not caplog.records
    assert len(clean(pairs["view2"])) == 1147
    assert "view2: training saw people of 4,853 of 6,000 pairs; only the other" in caplog.text
    with pytest.raises(DataError, match="training saw people of 2,200 of 2,200 pairs"):
        clean(pairs["view1_threshold"])
    named = index.set_index("id")["path"]
    first = pairs["view1"].iloc[0]
    assert named[first["left"]] == "Abdullah_Gul/Abdullah_Gul_0013.jpg"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2\na\t1\t2\nb\t1\tc\t1", "2 pairs where 4 are announced"),
        ("1\na\t1\tb\t2\nb\t1\t2", "'a 1 b 2' stands in the wrong place"),
        ("1\na\t1\tx\nb\t1\tc\t1", "no file of pairs"),
        ("<html>", "no file of pairs"),
    ],
)
def test_a_damaged_file_of_pairs_is_named(text, told):
    with pytest.raises(DataError, match=told):
        read_pairs(text, "pairs.txt")


def test_one_trained_person_taints_a_pair():
    pairs = read_pairs("1\na\t1\t2\nb\t1\tc\t1", "pairs.txt")
    index = pd.DataFrame({"path": [f"{p}/{p}_000{n}.jpg" for p in "abc" for n in (1, 2)]})
    index = index.assign(
        id=range(6), person=index["path"].str[0], split=["test"] * 4 + ["train"] * 2
    )
    assert pair_table(pairs, index, "made")["trained_on"].tolist() == [False, True]


def test_mnist_digits_are_disjoint(shared_data):
    raw = {f.name: f for f in (shared_data / "mnist").glob("*.gz")}
    dataset, index = table_of("mnist", raw)
    check_counts(dataset, index)
    assert index.groupby("split")["digit"].unique().apply(sorted).to_dict() == {
        "train": [0, 1, 2, 3, 4],
        "test": [5, 6, 7, 8, 9],
    }
