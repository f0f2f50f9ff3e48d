"""Omniglot with alphabets as classes (EPS section 5.2.1)."""

from collections.abc import Iterator

from dmlbench.data.dataset import Archive, Dataset, Record, register_dataset
from dmlbench.data.read_archive import read_members

_URLS = ("https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",)


@register_dataset(
    "omniglot",
    archives=[
        Archive(
            "omniglot",
            "images_background.zip",
            _URLS,
            bytes=9464212,
            sha256="ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
            members_sha256="07356096b8076fcf915341f8715e94822249e2a4d5b999fd2d0f6cf9ebffebd5",
        ),
        Archive(
            "omniglot",
            "images_evaluation.zip",
            _URLS,
            bytes=6462886,
            sha256="1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
            members_sha256="f5165eb5f20d18e13c6515650b69a42a2c0507506969d410ba5e4a1c572bd542",
        ),
    ],
    train_label="alphabet",
    train_classes=30,
    evaluations=[
        ("test", "", "alphabet"),
        ("test", "", "letter"),
        ("train", "", "alphabet"),
        ("train", "", "letter"),
    ],
    sub_labels={"alphabet": "letter"},
    counts={
        "train": 19280,
        "test": 13180,
        "train:alphabet": 30,
        "test:alphabet": 20,
        "train:letter": 964,
        "test:letter": 659,
    },
    mode="L",
)
class Omniglot(Dataset):
    """Handwritten letters of 50 alphabets; training sees the alphabet, never the letter."""

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        for split, file in (("train", "images_background.zip"), ("test", "images_evaluation.zip")):
            for name, content in read_members(raw[file], lambda name: name.endswith(".png")):
                _, alphabet, character, _ = name.split("/")
                yield Record(
                    path=name,
                    split=split,
                    subset="",
                    labels={"alphabet": alphabet, "letter": f"{alphabet}/{character}"},
                    image=content,
                )
