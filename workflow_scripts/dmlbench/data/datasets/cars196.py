"""Cars196 (Krause et al. 2013), class-disjoint as metric learning uses it."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.read_archive import read_members, read_rows
from dmlbench.errors import DataError

#: Models 1-98 are for training (Song et al. 2016, section 5).
_TRAIN_CLASSES = 98
_CLASSES = 196

#: Images of each model, from the first, in the test part: counted in cars_test_annos_withlabels.mat
#: (data/archives.yaml), which is on no public server any more.
_TEST_IMAGES = """
44 32 43 42 40 44 39 45 41 33 38 36 41 42 43 43 40 42 40 46 42 42 39 45 39 34 35 41 42 41 44 41 42
44 41 41 38 40 36 39 35 34 46 44 32 43 35 42 37 42 43 41 44 40 39 46 37 44 44 36 43 37 44 29 45 41
38 40 38 42 35 45 44 43 44 43 40 37 48 43 45 45 40 42 43 42 44 39 44 41 38 40 39 43 45 41 42 46 27
33 42 39 39 42 43 41 44 44 44 43 42 45 42 45 45 37 42 41 68 42 44 40 44 39 43 42 41 39 38 41 42 43
42 33 42 24 43 39 42 42 34 32 40 46 44 43 44 45 42 36 43 35 44 42 42 39 36 29 36 44 48 45 36 43 44
41 47 42 38 44 46 44 43 41 30 38 44 41 45 42 38 46 42 40 38 38 43 43 40 43 46 42 41 45 43 40
"""


@register_dataset(
    "cars196",
    sources=["cars196", "cars196_ims", "cars196_parquet"],
    mode="RGB",
    train_label="model",
    train_classes=98,
    evaluations=[("test", "", "model"), ("train", "", "model")],
    counts={"train": 8054, "test": 8131, "train:model": 98, "test:model": 98},
    mixed_sizes=True,
)
class Cars196(Dataset):
    """Cars: models 1-98 to train on, 99-196 to test on, by label; whole images, no boxes.

    Song et al. 2016, section 5; EPS, section 5.2.1. The set's own parts, cars_train and cars_test,
    have every model on both sides and are not used. The same images come in three forms:
    ``cars196`` (both parts and the devkit), ``cars196_ims`` (all in one folder, with
    cars_annos.mat) and ``cars196_parquet``.
    """

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        is_parquet = any(file.endswith(".parquet") for file in raw)
        for name, model, content in _rows(raw) if is_parquet else _members(raw):
            split = "train" if model <= _TRAIN_CLASSES else "test"
            yield Record(name, split, {"model": model}, content)


def _members(raw: dict[str, str]) -> Iterator[tuple[str, int, bytes]]:
    """Name, model and content of the images in archives."""
    if "car_ims.tgz" in raw:
        files = ["car_ims.tgz"]
        models = _models(Path(raw["cars_annos.mat"]).read_bytes(), raw["cars_annos.mat"])
    else:
        files, test = ["cars_test.tgz", "cars_train.tgz"], raw["cars_test_annos_withlabels.mat"]
        models = _train_models(raw) | _models(Path(test).read_bytes(), test, "cars_test/")
    for file in files:
        for name, content in read_members(Path(raw[file]), lambda n: n.endswith(".jpg")):
            yield name, models[name], content


def _rows(raw: dict[str, str]) -> Iterator[tuple[str, int, bytes]]:
    """The same of the rows of Parquet files, named by their numbers; labels begin at 0 there.

    Each model must have as many images as published. Two images with their labels exchanged are
    not found: the mirror does not say which image of the devkit a row is.
    """
    published = {"train": Counter(_train_models(raw).values()), "test": published_test()}
    for part, expected in published.items():
        counts: Counter[int] = Counter()
        for file in sorted(f for f in raw if f.startswith(part)):
            for place, row in enumerate(read_rows(Path(raw[file]), ["image", "label"]), start=1):
                label, image, what = row["label"], row["image"], f"{raw[file]}: row {place}"
                if label not in range(_CLASSES):
                    told = f"the label is {label!r:.40}, should be 0 to {_CLASSES - 1}"
                    raise DataError(f"{what}: {told}")
                content = image.get("bytes") if isinstance(image, dict) else None
                if not isinstance(content, bytes):
                    raise DataError(f"{what}: the image has no bytes; it should be encoded in them")
                model = int(label) + 1
                counts[model] += 1
                yield f"{part}/{counts.total():05d}", model, content
        if wrong := sorted(m for m in expected | counts if expected[m] != counts[m]):
            raise DataError(
                f"{Path(raw['car_devkit.tgz']).parent}: {part}-*.parquet have other numbers of "
                f"images of {len(wrong)} models than published; of model {wrong[0]} they have "
                f"{counts[wrong[0]]}, published are {expected[wrong[0]]}"
            )


def published_test() -> Counter[int]:
    """Images of each model in the test part, as published."""
    return Counter({model: int(n) for model, n in enumerate(_TEST_IMAGES.split(), start=1)})


def _train_models(raw: dict[str, str]) -> dict[str, int]:
    """The model of every image of cars_train, as the devkit has them."""
    devkit = raw["car_devkit.tgz"]
    [(_, annotations)] = read_members(Path(devkit), "devkit/cars_train_annos.mat".__eq__)
    return _models(annotations, devkit, "cars_train/")


def _models(content: bytes, file: str, folder: str = "") -> dict[str, int]:
    """The model number of every image that a MATLAB file annotates; such a file holds no code."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        rows = loadmat(io.BytesIO(content), squeeze_me=True)["annotations"]
        name = "fname" if folder else "relative_im_path"
        return {f"{folder}{row[name]}": int(row["class"]) for row in rows}
    except (MatReadError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{file}: not the annotations of Cars196 ({error})") from None
