"""Omniglot with alphabets as classes (EPS section 5.2.1)."""

import zipfile
from collections.abc import Iterator

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.errors import DataError


@register_dataset(
    "omniglot",
    source="omniglot",
    train_label="alphabet",
    train_classes=30,
    evaluations=[
        ("test", "", "alphabet"),
        ("test", "", "letter"),
        ("train", "", "alphabet"),
        ("train", "", "letter"),
    ],
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
            with zipfile.ZipFile(raw[file]) as archive:
                for name in sorted(n for n in archive.namelist() if n.endswith(".png")):
                    _, alphabet, character, _ = name.split("/")
                    try:
                        drawing = archive.read(name)
                    except (OSError, zipfile.BadZipFile) as error:
                        raise DataError(f"{raw[file]}: {name} cannot be read ({error})") from None
                    yield Record(
                        path=name,
                        split=split,
                        subset="",
                        labels={"alphabet": alphabet, "letter": f"{alphabet}/{character}"},
                        image=drawing,
                    )
