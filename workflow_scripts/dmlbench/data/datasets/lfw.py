"""Labeled Faces in the Wild (Huang et al. 2007), View 1: nobody is in both training and test."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.read_archive import read_members
from dmlbench.errors import DataError

_SPLITS = {"train": "peopleDevTrain.txt", "test": "peopleDevTest.txt"}
_VIEW_1 = {
    "train_label": "person",
    "train_classes": 4038,
    "evaluations": [("test", "retrieval", "person")],
    "views": {
        "view1": "pairsDevTest.txt",
        "view1_threshold": "pairsDevTrain.txt",
        "view2": "pairs.txt",
    },
    "counts": {
        "train": 9525,
        "test": 3708,
        "test/retrieval": 2493,
        "train:person": 4038,
        "test:person": 1711,
        "test/retrieval:person": 496,
    },
}


@register_dataset("lfw", sources=["lfw"], mode="RGB", **_VIEW_1)
class Lfw(Dataset):
    """Faces: the 4,038 people of peopleDevTrain to train on, the 1,711 of peopleDevTest to test on.

    Retrieval is among the people of the test with two images or more (subset ``retrieval``);
    the others are needed for the pairs of pairsDevTest. PD-Loss reports Recall@K on LFW and does
    not say how it is split; this is our reading.
    """

    archive = "lfw.tgz"

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        people = self.people(raw)
        seen: Counter[str] = Counter()
        archive = Path(raw[self.archive])
        for name, content in read_members(archive, lambda n: n.endswith(".jpg")):
            _, person, _ = f"//{name}".rsplit("/", 2)
            split, count = people[person]
            seen[person] += 1
            subset = "" if split == "train" else "retrieval" if count > 1 else "single"
            path = "/".join(name.split("/")[-2:])
            yield Record(path, split, {"person": person}, content, subset)
        for person, (_, count) in people.items():
            if (found := seen[person]) != count:
                raise DataError(f"{archive}: {person} has {found} images, published are {count}")

    def people(self, raw: dict[str, str]) -> dict[str, tuple[str, int]]:
        """The split and the number of images of each person."""
        return {
            person: (split, count)
            for split, file in _SPLITS.items()
            for person, count in read_folds(Path(raw[file]))[0].items()
        }


@register_dataset("lfw_funneled", sources=["lfw_funneled"], mode="RGB", **_VIEW_1)
class LfwFunneled(Lfw):
    """The same faces, aligned by funneling (Huang et al. 2007, ICCV)."""

    archive = "lfw-funneled.tgz"


@register_dataset("lfw_a", sources=["lfw_a"], mode="L", **_VIEW_1)
class LfwA(Lfw):
    """LFW-a: the same faces in gray, aligned by commercial software (Wolf et al. 2009)."""

    archive = "lfwa.tar.gz"


#: Images in each fold of people.txt.
_FOLDS = (1369, 1367, 1089, 1324, 1016, 1166, 1690, 1222, 1207, 1783)


@register_dataset(
    "lfw_view2",
    sources=["lfw"],
    mode="RGB",
    train_label="person",
    train_classes=5140,
    folds=10,
    evaluations=[("test", "retrieval", "person")],
    views={"view2": "pairs.txt"},
    counts={f"fold{number}": count for number, count in enumerate(_FOLDS, start=1)},
)
class LfwView2(Lfw):
    """The ten folds of people.txt, nobody in two: ten trainings that each leave one fold out.

    Huang et al. 2007, section 3 (View 2). A model trained on nine folds is verified on the pairs of
    the tenth; 5,140 to 5,222 people train, depending on the fold.
    """

    def people(self, raw: dict[str, str]) -> dict[str, tuple[str, int]]:
        folds = enumerate(read_folds(Path(raw["people.txt"])), start=1)
        return {p: (f"fold{number}", n) for number, fold in folds for p, n in fold.items()}


def read_folds(file: Path) -> list[dict[str, int]]:
    """The images of each person that a file of people lists, for each of its folds.

    Each fold begins with its number of people; a file of several folds begins with theirs. Any
    other file is a DataError.
    """
    lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
    try:
        several = len(lines) > 1 and len(lines[1]) == 1
        count = int(lines.pop(0)[0]) if several else 1
        folds = []
        for _ in range(count):
            end = 1 + int(lines[0][0])
            folds.append({name: int(images) for name, images in lines[1:end]})
            if len(folds[-1]) != end - 1:
                raise ValueError("fewer people than announced")
            lines = lines[end:]
        if lines:
            raise ValueError("more people than announced")
    except (ValueError, IndexError) as error:
        raise DataError(f"{file}: no file of people ({error})") from None
    return folds
