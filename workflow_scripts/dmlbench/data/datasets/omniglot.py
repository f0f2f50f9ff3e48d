"""Omniglot with alphabets as classes (EPS section 5.2.1)."""

from collections.abc import Iterator

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.read_archive import read_members


@register_dataset(
    "omniglot",
    sources=["omniglot"],
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
                labels = {"alphabet": alphabet, "letter": f"{alphabet}/{character}"}
                yield Record(name, split, labels, content)
