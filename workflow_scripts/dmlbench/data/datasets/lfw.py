"""Labeled Faces in the Wild (Huang et al. 2007), View 1: nobody is in both training and test."""

from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.members import read_members
from dmlbench.errors import DataError

_SPLITS = {"train": "peopleDevTrain.txt", "test": "peopleDevTest.txt"}


@register_dataset(
    "lfw",
    source="lfw",
    mode="RGB",
    train_label="person",
    train_classes=4038,
    evaluations=[("test", "retrieval", "person")],
    pairs={
        "view1": "pairsDevTest.txt",
        "view1_threshold": "pairsDevTrain.txt",
        "view2": "pairs.txt",
    },
    counts={
        "train": 9525,
        "test": 3708,
        "test/retrieval": 2493,
        "train:person": 4038,
        "test:person": 1711,
        "test/retrieval:person": 496,
    },
)
class Lfw(Dataset):
    """Faces: the 4,038 people of peopleDevTrain to train on, the 1,711 of peopleDevTest to test on.

    Retrieval is among the people of the test with two images or more (subset ``retrieval``);
    the others are needed for the pairs of pairsDevTest. PD-Loss reports Recall@K on LFW and does
    not say how it is split; this is our reading.
    """

    archive = "lfw.tgz"

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        people = {split: read_people(Path(raw[file])) for split, file in _SPLITS.items()}
        seen: dict[str, int] = {}
        archive = Path(raw[self.archive])
        for name, content in read_members(archive, lambda n: n.endswith(".jpg")):
            person = name.split("/")[-2] if "/" in name else ""
            split = next((split for split, known in people.items() if person in known), None)
            if split is None:
                raise DataError(
                    f"{archive}: {name} is of nobody in {' or '.join(_SPLITS.values())}"
                )
            several = split == "test" and people[split][person] > 1
            seen[person] = seen.get(person, 0) + 1
            yield Record(
                path="/".join(name.split("/")[-2:]),
                split=split,
                subset="" if split == "train" else "retrieval" if several else "single",
                labels={"person": person},
                image=content,
            )
        _check_people(people, seen, archive)


@register_dataset(
    "lfw_funneled",
    source="lfw_funneled",
    mode="RGB",
    train_label="person",
    train_classes=4038,
    evaluations=[("test", "retrieval", "person")],
    pairs={
        "view1": "pairsDevTest.txt",
        "view1_threshold": "pairsDevTrain.txt",
        "view2": "pairs.txt",
    },
    counts={
        "train": 9525,
        "test": 3708,
        "test/retrieval": 2493,
        "train:person": 4038,
        "test:person": 1711,
        "test/retrieval:person": 496,
    },
)
class LfwFunneled(Lfw):
    """The same faces, aligned by funneling (Huang et al. 2007, ICCV)."""

    archive = "lfw-funneled.tgz"


def read_people(file: Path) -> dict[str, int]:
    """The images of each person that a people file of one fold lists.

    Raises:
        DataError: It is something else.
    """
    head, *lines = file.read_text(encoding="utf-8").splitlines() or [""]
    try:
        people = {name: int(count) for name, count in (line.split("\t") for line in lines)}
        if len(people) != int(head):
            raise ValueError(f"{len(people)} people where {head} are announced")
    except ValueError as error:
        raise DataError(f"{file}: no file of people ({error})") from None
    return people


def _check_people(people: dict[str, dict], seen: dict[str, int], archive: Path) -> None:
    for known in people.values():
        for person, count in known.items():
            if seen.get(person, 0) != count:
                raise DataError(
                    f"{archive}: {person} has {seen.get(person, 0)} images, published are {count}"
                )
