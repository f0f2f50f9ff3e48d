"""Cars196 (Krause et al. 2013), class-disjoint as metric learning uses it."""

import io
from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.members import read_members
from dmlbench.errors import DataError

#: Models 1-98 are for training (Song et al. 2016, section 5).
_TRAIN_CLASSES = 98


@register_dataset(
    "cars196",
    source="cars196",
    other_sources=["cars196_ims"],
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
    The same images come in two forms: ``cars196`` (cars_train, cars_test and the devkit) and
    ``cars196_ims`` (all in one folder, with cars_annos.mat).
    """

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        models = _one_folder(raw) if "car_ims.tgz" in raw else _two_folders(raw)
        for file in sorted(f for f in raw if f.startswith("car") and f.endswith(".tgz")):
            if file == "car_devkit.tgz":
                continue
            for name, content in read_members(Path(raw[file]), lambda n: n.endswith(".jpg")):
                if name not in models:
                    raise DataError(f"{raw[file]}: image {name} has no annotation")
                yield Record(
                    path=name,
                    split="train" if models[name] <= _TRAIN_CLASSES else "test",
                    subset="",
                    labels={"model": models[name]},
                    image=content,
                )


def _two_folders(raw: dict[str, str]) -> dict[str, int]:
    """The model of every image of cars_train and cars_test."""
    wanted = "devkit/cars_train_annos.mat"
    devkit = raw["car_devkit.tgz"]
    annotations = next((c for _, c in read_members(Path(devkit), wanted.__eq__)), None)
    if annotations is None:
        raise DataError(f"{devkit}: {wanted} is missing")
    test = raw["cars_test_annos_withlabels.mat"]
    return {
        **_models(annotations, devkit, "fname", "cars_train/"),
        **_models(Path(test).read_bytes(), test, "fname", "cars_test/"),
    }


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
