"""Labeled Faces in the Wild (Huang et al. 2007), View 1: nobody is in both training and test."""

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
    "pairs": {
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
        people = self.groups(raw)
        seen: dict[str, int] = {}
        archive = Path(raw[self.archive])
        for name, content in read_members(archive, lambda n: n.endswith(".jpg")):
            person = name.split("/")[-2] if "/" in name else ""
            split = next((split for split, known in people.items() if person in known), None)
            if split is None:
                raise DataError(f"{archive}: {name} is of nobody in the lists of people")
            seen[person] = seen.get(person, 0) + 1
            several = people[split][person] > 1
            yield Record(
                path="/".join(name.split("/")[-2:]),
                split=split,
                subset="" if split == "train" else "retrieval" if several else "single",
                labels={"person": person},
                image=content,
            )
        _check_people(people, seen, archive)

    def groups(self, raw: dict[str, str]) -> dict[str, dict[str, int]]:
        """The people of each split, with their numbers of images."""
        return {split: read_folds(Path(raw[file]))[0] for split, file in _SPLITS.items()}


@register_dataset("lfw_funneled", sources=["lfw_funneled"], mode="RGB", **_VIEW_1)
class LfwFunneled(Lfw):
    """The same faces, aligned by funneling (Huang et al. 2007, ICCV)."""

    archive = "lfw-funneled.tgz"


@register_dataset("lfw_a", sources=["lfw_a"], mode="L", **_VIEW_1)
class LfwA(Lfw):
    """LFW-a: the same faces in gray, aligned by commercial software (Wolf et al. 2009)."""

    archive = "lfwa.tar.gz"


@register_dataset(
    "lfw_view2",
    sources=["lfw"],
    mode="RGB",
    train_label="person",
    train_classes=5140,
    folds=10,
    evaluations=[("test", "retrieval", "person")],
    pairs={"view2": "pairs.txt"},
    counts={
        "fold1": 1369,
        "fold2": 1367,
        "fold3": 1089,
        "fold4": 1324,
        "fold5": 1016,
        "fold6": 1166,
        "fold7": 1690,
        "fold8": 1222,
        "fold9": 1207,
        "fold10": 1783,
    },
)
class LfwView2(Lfw):
    """The ten folds of people.txt, nobody in two: ten trainings that each leave one fold out.

    Huang et al. 2007, section 3 (View 2). A model trained on nine folds is verified on the pairs of
    the tenth; 5,140 to 5,222 people train, depending on the fold.
    """

    def groups(self, raw: dict[str, str]) -> dict[str, dict[str, int]]:
        folds = read_folds(Path(raw["people.txt"]))
        return {f"fold{number}": people for number, people in enumerate(folds, start=1)}


def read_folds(file: Path) -> list[dict[str, int]]:
    """The images of each person that a file of people lists, for each of its folds.

    Each fold begins with its number of people; a file of several folds begins with theirs.

    Raises:
        DataError: It is something else.
    """
    lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
    try:
        several = len(lines) > 1 and len(lines[1]) == 1
        folds: list[dict[str, int]] = []
        place = 1 if several else 0
        for _ in range(int(lines[0][0]) if several else 1):
            end = place + 1 + int(lines[place][0])
            folds.append({name: int(count) for name, count in lines[place + 1 : end]})
            if len(folds[-1]) != end - place - 1:
                raise ValueError("fewer people than announced")
            place = end
        if place != len(lines):
            raise ValueError("more people than announced")
    except (ValueError, IndexError) as error:
        raise DataError(f"{file}: no file of people ({error})") from None
    return folds


def _check_people(people: dict[str, dict], seen: dict[str, int], archive: Path) -> None:
    for known in people.values():
        for person, count in known.items():
            if seen.get(person, 0) != count:
                raise DataError(
                    f"{archive}: {person} has {seen.get(person, 0)} images, published are {count}"
                )
