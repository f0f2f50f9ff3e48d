"""In-Shop Clothes Retrieval (Liu et al. 2016, DeepFashion): queries and gallery are apart."""

from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.dataset import Dataset, Record, register_dataset
from dmlbench.data.listed_images import read_listed, rows_of
from dmlbench.errors import DataError

_TABLE = "list_eval_partition.txt"
#: The split and the role of each evaluation_status.
_STATUS = {"train": ("train", ""), "query": ("test", "query"), "gallery": ("test", "gallery")}


@register_dataset(
    "in_shop",
    sources=["in_shop"],
    mode="RGB",
    train_label="item",
    train_classes=3997,
    roles=True,
    evaluations=[("test", "", "item"), ("train", "", "item")],
    counts={
        "train": 25882,
        "test": 26830,
        "test@query": 14218,
        "test@gallery": 12612,
        "train:item": 3997,
        "test:item": 3985,
        "test@query:item": 3985,
        "test@gallery:item": 3985,
    },
)
class InShop(Dataset):
    """Clothes of a shop: 3,997 items to train on; 14,218 queries for a gallery of 3,985 others.

    Liu et al. 2016, section 5, with the set's own parts; Recall at 1, 10, 20, 30, 40 and 50. The
    images are those of img.zip (256 pixels a side), not of img_highres.zip; no boxes.
    """

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        listed = _listed(raw[_TABLE])
        for name, (item, status), content in read_listed(Path(raw["img.zip"]), listed):
            split, role = _STATUS[status]
            yield Record(name, split, {"item": item}, content, role=role)


def _listed(table: str) -> dict[str, tuple[str, str]]:
    """The item and the status of each image; the table's first line says how many it lists."""
    count, _, text = Path(table).read_text(encoding="utf-8", errors="replace").partition("\n")
    rows = rows_of(text, "image_name item_id evaluation_status", table)
    if count.strip() != str(len(rows)):
        raise DataError(f"{table}: announces '{count.strip():.20}' rows and has {len(rows)}")
    for place, (_, _, status) in enumerate(rows, start=1):
        if status not in _STATUS:
            told = f"should be one of {', '.join(_STATUS)}"
            raise DataError(f"{table}: row {place}: evaluation_status is '{status:.20}', {told}")
    return {image: (item, status) for image, item, status in rows}
