"""Cars196 (Krause et al. 2013), class-disjoint as metric learning uses it."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.members import read_members
from dmlbench.data.rows import read_rows
from dmlbench.errors import DataError

#: Models 1-98 are for training (Song et al. 2016, section 5).
_TRAIN_CLASSES = 98


@register_dataset(
    "cars196",
    source="cars196",
    other_sources=["cars196_ims", "cars196_parquet"],
    mode="RGB",
    train_label="model",
    train_classes=98,
    evaluations=[("test", "", "model"), ("train", "", "model")],
    counts={"train": 8054, "test": 8131, "train:model": 98, "test:model": 98},
)
class Cars196(Dataset):
    """Cars: models 1-98 to train on, 99-196 to test on, by label; whole images, no boxes.

    Song et al. 2016, section 5; EPS, section 5.2.1. The set's own division into training and test
    images, which is also that of the folders, has every model on both sides and is not used.
    The same images come in three forms: ``cars196`` (cars_train, cars_test and the devkit),
    ``cars196_ims`` (all in one folder, with cars_annos.mat) and ``cars196_parquet``.
    """

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        if any(file.endswith(".parquet") for file in raw):
            images = _rows(raw)
        else:
            images = _members(raw, _one_folder(raw) if "car_ims.tgz" in raw else _two_folders(raw))
        for name, model, content in images:
            yield Record(
                path=name,
                split="train" if model <= _TRAIN_CLASSES else "test",
                subset="",
                labels={"model": model},
                image=content,
            )


def _members(raw: dict[str, str], models: dict[str, int]) -> Iterator[tuple[str, int, bytes]]:
    """Name, model and content of the images in archives."""
    for file in sorted(f for f in raw if f.startswith("car") and f.endswith(".tgz")):
        if file == "car_devkit.tgz":
            continue
        for name, content in read_members(Path(raw[file]), lambda n: n.endswith(".jpg")):
            if name not in models:
                raise DataError(f"{raw[file]}: image {name} has no annotation")
            yield name, models[name], content


def _rows(raw: dict[str, str]) -> Iterator[tuple[str, int, bytes]]:
    """The same of the rows of Parquet files, named by their numbers; labels begin at 0 there.

    Raises:
        DataError: The models of the training part are not as many as the devkit says.
    """
    counts: Counter[int] = Counter()
    for part in ("train", "test"):
        number = 0
        for file in sorted(f for f in raw if f.startswith(part)):
            for row in read_rows(Path(raw[file]), ["image", "label"]):
                number += 1
                model = row["label"] + 1
                counts[model] += part == "train"
                yield f"{part}/{number:05d}", model, row["image"]["bytes"]
    if +counts != Counter(_train_models(raw).values()):
        raise DataError(
            f"{Path(raw['car_devkit.tgz']).parent}: train-*.parquet have other numbers of images "
            "of each model than the devkit"
        )


def _two_folders(raw: dict[str, str]) -> dict[str, int]:
    """The model of every image of cars_train and cars_test."""
    test = raw["cars_test_annos_withlabels.mat"]
    return _train_models(raw) | _models(Path(test).read_bytes(), test, "fname", "cars_test/")


def _train_models(raw: dict[str, str]) -> dict[str, int]:
    """The model of every image of cars_train, as the devkit has them."""
    wanted = "devkit/cars_train_annos.mat"
    devkit = raw["car_devkit.tgz"]
    annotations = next((c for _, c in read_members(Path(devkit), wanted.__eq__)), None)
    if annotations is None:
        raise DataError(f"{devkit}: {wanted} is missing")
    return _models(annotations, devkit, "fname", "cars_train/")


def _one_folder(raw: dict[str, str]) -> dict[str, int]:
    """The model of every image of car_ims."""
    file = raw["cars_annos.mat"]
    return _models(Path(file).read_bytes(), file, "relative_im_path", "")


def _models(content: bytes, file: str, name: str, folder: str) -> dict[str, int]:
    """The model number of every image that a MATLAB file annotates; such a file holds no code.

    Raises:
        DataError: It cannot be read.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        rows = loadmat(io.BytesIO(content), squeeze_me=True)["annotations"]
        return {f"{folder}{row[name]}": int(row["class"]) for row in rows}
    except (MatReadError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{file}: not the annotations of Cars196 ({error})") from None
