"""CUB-200-2011 (Wah et al. 2011), class-disjoint as metric learning uses it."""

from collections.abc import Iterator

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.read_archive import read_members
from dmlbench.errors import DataError

#: Species 1-100 are for training (Song et al. 2016, section 5).
_TRAIN_CLASSES = 100


@register_dataset(
    "cub200",
    sources=["cub200"],
    mode="RGB",
    train_label="species",
    train_classes=100,
    evaluations=[("test", "", "species"), ("train", "", "species")],
    counts={"train": 5864, "test": 5924, "train:species": 100, "test:species": 100},
    mixed_sizes=True,
)
class Cub200(Dataset):
    """Birds: species 1-100 to train on, 101-200 to test on; whole images, no bounding boxes.

    Song et al. 2016, section 5; EPS, section 5.2.1. The set's own train_test_split.txt, which has
    every species on both sides, is not used. A few photographs are grayscale and become RGB.
    """

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        archive = raw["CUB_200_2011.tgz"]
        species = _species(archive)
        for name, content in read_members(archive, lambda n: n.endswith(".jpg")):
            path = name.removeprefix("CUB_200_2011/images/")
            if path not in species:
                raise DataError(f"{archive}: image {name} is not in images.txt")
            split = "train" if species[path] <= _TRAIN_CLASSES else "test"
            yield Record(path, split, {"species": path.partition("/")[0]}, content)


def _species(archive: str) -> dict[str, int]:
    """The species number of every image path."""
    wanted = [f"CUB_200_2011/{name}.txt" for name in ("images", "image_class_labels")]
    tables = {}
    for name, content in read_members(archive, wanted.__contains__):
        tables[name] = dict(line.split() for line in content.decode().splitlines())
        if len(tables) == len(wanted):
            break
    paths, labels = (tables[name] for name in wanted)
    return {path: int(labels[number]) for number, path in paths.items()}
