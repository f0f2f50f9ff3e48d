"""Labeled Faces in the Wild (Huang et al. 2007), View 1: nobody is in both training and test."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dmlbench.data.dataset import Archive, Dataset, Record, register_dataset
from dmlbench.data.read_archive import read_members
from dmlbench.errors import DataError

_SPLITS = {"train": "peopleDevTrain.txt", "test": "peopleDevTest.txt"}


#: The files of people and pairs. Those of the University of Massachusetts do not answer any more.
_LISTS = (
    Archive(
        "lfw",
        "pairs.txt",
        ("https://ndownloader.figshare.com/files/5976006",),
        bytes=155335,
        sha256="ea42330c62c92989f9d7c03237ed5d591365e89b3e649747777b70e692dc1592",
        md5="9f1ba174e4e1c508ff7cdf10ac338a7d",
    ),
    Archive(
        "lfw",
        "pairsDevTrain.txt",
        ("https://ndownloader.figshare.com/files/5976012",),
        bytes=56579,
        sha256="1d454dada7dfeca0e7eab6f65dc4e97a6312d44cf142207be28d688be92aabfa",
        md5="4f27cbf15b2da4a85c1907eb4181ad21",
    ),
    Archive(
        "lfw",
        "pairsDevTest.txt",
        ("https://ndownloader.figshare.com/files/5976009",),
        bytes=26002,
        sha256="7cb06600ea8b2814ac26e946201cdb304296262aad67d046a16a7ec85d0ff87c",
        md5="5132f7440eb68cf58910c8a45a2ac10b",
    ),
    Archive(
        "lfw",
        "people.txt",
        bytes=94770,
        sha256="bc8fa2b7f25c895cf7efb6de4f4fc27ca8b8d1cfa63350ad8b96eae2b198d365",
        md5="450f0863dd89e85e73936a6d71a3474b",
    ),
    Archive(
        "lfw",
        "peopleDevTrain.txt",
        bytes=66403,
        sha256="2e58df13ba4cc143189336e001cc2c195f1dfa5b29a6475c02857be353c2a2fa",
        md5="54eaac34beb6d042ed3a7d883e247a21",
    ),
    Archive(
        "lfw",
        "peopleDevTest.txt",
        bytes=28334,
        sha256="c3ed1f90499473401542101a56c14c1d82396bb8218c67a356d7460601047555",
        md5="e4bf5be0a43b5dcd9dc5ccfcb8fb19c5",
    ),
)


def _archives(images: Archive) -> list[Archive]:
    """One archive of images with the files of people and pairs, in the folder of its source."""
    return [images, *(replace(file, source=images.source) for file in _LISTS)]


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


_LFW = _archives(
    Archive(
        "lfw",
        "lfw.tgz",
        ("https://ndownloader.figshare.com/files/5976018",),
        bytes=180566744,
        sha256="055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
        md5="a17d05bd522c52d84eca14327a23d494",
    )
)


@register_dataset("lfw", archives=_LFW, mode="RGB", **_VIEW_1)
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


@register_dataset(
    "lfw_funneled",
    archives=_archives(
        Archive(
            "lfw_funneled",
            "lfw-funneled.tgz",
            ("https://ndownloader.figshare.com/files/5976015",),
            sha256="b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
            md5="1b42dfed7d15c9b2dd63d5e5840c86ad",
        ),
    ),
    mode="RGB",
    **_VIEW_1,
)
class LfwFunneled(Lfw):
    """The same faces, aligned by funneling (Huang et al. 2007, ICCV)."""

    archive = "lfw-funneled.tgz"


@register_dataset(
    "lfw_a",
    # The checksum is that of scikit-data (skdata/lfw.py), which fetched it from here.
    archives=_archives(
        Archive(
            "lfw_a",
            "lfwa.tar.gz",
            ("https://www.openu.ac.il/home/hassner/data/lfwa/",),
            sha1="38ecda590870e7dc91fb1040759caccddbe25375",
        ),
    ),
    mode="L",
    **_VIEW_1,
)
class LfwA(Lfw):
    """LFW-a: the same faces in gray, aligned by commercial software (Wolf et al. 2009)."""

    archive = "lfwa.tar.gz"


@register_dataset(
    "lfw_view2",
    archives=_LFW,
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
