"""Stanford Online Products (Song et al. 2016), class-disjoint as metric learning uses it."""

from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.listed_images import read_listed, rows_of
from dmlbench.data.read_archive import read_members
from dmlbench.errors import DataError

_FOLDER = "Stanford_Online_Products"
_HEADER = "image_id class_id super_class_id path"
_FACTS = {
    "sources": ["sop"],
    "mode": "RGB",
    "mixed_sizes": True,
    "sub_labels": {"super_class": "product"},
    "shared_labels": ["super_class"],
    "counts": {
        "train": 59551,
        "test": 60502,
        "train:product": 11318,
        "test:product": 11316,
        "train:super_class": 12,
        "test:super_class": 12,
    },
}


@register_dataset(
    "sop",
    train_label="product",
    train_classes=11318,
    evaluations=[
        ("test", "", "product"),
        ("test", "", "super_class"),
        ("train", "", "product"),
        ("train", "", "super_class"),
    ],
    **_FACTS,
)
class StanfordOnlineProducts(Dataset):
    """Products of a shop: 11,318 to train on, 11,316 others to test on, of 12 kinds (super-class).

    Song et al. 2016, section 5, with the set's own parts; Recall at 1, 10, 100 and 1,000. Kinds are
    on both sides, products are not. A product is known by its number, a kind by its folder.
    """

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        archive = Path(raw["Stanford_Online_Products.zip"])
        for name, (split, labels), content in read_listed(archive, _listed(archive)):
            yield Record(name.removeprefix(f"{_FOLDER}/"), split, labels, content)


@register_dataset(
    "sop_super_class",
    train_label="super_class",
    train_classes=12,
    evaluations=[
        ("test", "", "super_class"),
        ("test", "", "product"),
        ("train", "", "super_class"),
        ("train", "", "product"),
    ],
    **_FACTS,
)
class SopSuperClass(StanfordOnlineProducts):
    """The same images; training sees the 12 kinds, never the product (the question of EPS)."""


def _listed(archive: Path) -> dict[str, tuple[str, dict[str, int | str]]]:
    """The split and the labels of each member that Ebay_train.txt and Ebay_test.txt list."""
    files = {f"{_FOLDER}/Ebay_{split}.txt": split for split in ("train", "test")}
    tables: dict[str, str] = {}
    for name, content in read_members(archive, files.__contains__):
        tables[name] = content.decode(errors="replace")
    listed, kinds = {}, set()
    for file, split in files.items():
        if file not in tables:
            raise DataError(f"{archive}: has no {file}")
        what = f"{archive}: {file}"
        for place, row in enumerate(rows_of(tables[file], _HEADER, what), start=1):
            _, product, number, path = row
            if not product.isdecimal():
                raise DataError(f"{what}: row {place}: class_id is '{product:.20}', not a number")
            kind = path.partition("/")[0].removesuffix("_final")
            kinds.add((number, kind))
            listed[f"{_FOLDER}/{path}"] = split, {"product": int(product), "super_class": kind}
    for of_pair in zip(*kinds, strict=True):
        if len(set(of_pair)) != len(kinds):
            raise DataError(f"{archive}: super_class_id and folder do not belong together")
    return listed
