"""Cars196 with makes as classes: models are inside makes, as letters are inside alphabets."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dmlbench.data.dataset import Record, register_dataset
from dmlbench.data.datasets.cars196 import Cars196
from dmlbench.data.read_archive import read_members
from dmlbench.errors import DataError

#: Makes whose names have a space. A model's name is make, model, body and year, one space apart.
_TWO_WORDS = ("AM General", "Aston Martin", "Land Rover")


@register_dataset(
    "cars196_make",
    sources=Cars196.facts.sources,
    mode="RGB",
    train_label="make",
    train_classes=14,
    evaluations=[
        ("test", "", "make"),
        ("test", "", "model"),
        ("train", "", "make"),
        ("train", "", "model"),
    ],
    sub_labels={"make": "model"},
    counts=Cars196.facts.counts | {"train:make": 14, "test:make": 35},
    mixed_sizes=True,
)
class Cars196Make(Cars196):
    """The images and the split of cars196; training sees the make, never the model.

    The makes are ours, from the names of the 196 models, which are sorted by make: no make is on
    both sides. As the names have it, Ram is a make beside Dodge, and HUMMER beside AM General.
    """

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        makes = [make_of(name) for name in _model_names(raw)]
        for record in super().records(raw):
            make = makes[record.labels["model"] - 1]
            yield replace(record, labels={"make": make, **record.labels})


def make_of(model: str) -> str:
    """The make in the name of a model, such as Land Rover of ``Land Rover LR2 SUV 2012``."""
    found = (make for make in _TWO_WORDS if model.startswith(f"{make} "))
    return next(found, model.partition(" ")[0])


def _model_names(raw: dict[str, str]) -> list[str]:
    """The names of the models from the first, in the devkit, or where all annotations are."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if "cars_annos.mat" in raw:
        file, contents = raw["cars_annos.mat"], [Path(raw["cars_annos.mat"]).read_bytes()]
    else:
        file = raw["car_devkit.tgz"]
        contents = [c for _, c in read_members(Path(file), "devkit/cars_meta.mat".__eq__)]
    try:
        names = loadmat(io.BytesIO(*contents), squeeze_me=True)["class_names"]
        return [str(name) for name in names]
    except (MatReadError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: no names of the models of Cars196 ({error})") from None
