"""Omniglot with alphabets as classes (EPS section 5.2.1)."""

import io
from collections.abc import Iterator

import numpy as np

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.members import read_members
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
)
class Omniglot(Dataset):
    """Handwritten letters of 50 alphabets; training sees the alphabet, never the letter."""

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        from PIL import Image

        for split, file in (("train", "images_background.zip"), ("test", "images_evaluation.zip")):
            # Sorted, since an archive packed anew may hold them in another order; they are small.
            members = sorted(read_members(raw[file], lambda name: name.endswith(".png")))
            for name, content in members:
                _, alphabet, character, _ = name.split("/")
                try:
                    drawing = Image.open(io.BytesIO(content)).convert("L")
                except OSError as error:
                    raise DataError(f"{raw[file]}: {name} cannot be read ({error})") from None
                yield Record(
                    path=name,
                    split=split,
                    subset="",
                    labels={"alphabet": alphabet, "letter": f"{alphabet}/{character}"},
                    image=np.asarray(drawing)[:, :, None],
                )
