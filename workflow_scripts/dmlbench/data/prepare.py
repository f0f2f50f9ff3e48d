"""From archives to an index and a pixel store, in one pass."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.data.dataset import Dataset
from dmlbench.errors import DataError
from dmlbench.files import replacing

log = logging.getLogger(__name__)


def prepare(dataset: type[Dataset], raw: dict[str, str], folder: Path) -> pd.DataFrame:
    """Write the pixel store and the index of ``dataset`` into ``folder``; return the index.

    The store is every image's bytes, one after another. The index has one row per image: id,
    path, split, subset, label columns, height, width, channels, offset (of its first byte in the
    store) and content (the id of the first image with the same pixels, so that copies of an image
    can be told).

    Raises:
        DataError: An archive cannot be read, or the counts are not the published ones.
    """
    rows: list[dict] = []
    first_with: dict[bytes, int] = {}
    offset = 0
    with replacing(folder / paths.PIXELS_FILE) as temporary:
        with temporary.open("wb") as store:
            for number, record in enumerate(dataset().records(raw)):
                image = np.ascontiguousarray(record.image, dtype=np.uint8)
                height, width, channels = image.shape
                data = image.tobytes()
                digest = hashlib.sha256(repr(image.shape).encode() + data).digest()
                rows.append(
                    {
                        "id": number,
                        "path": record.path,
                        "split": record.split,
                        "subset": record.subset,
                        **record.labels,
                        "height": height,
                        "width": width,
                        "channels": channels,
                        "offset": offset,
                        "content": first_with.setdefault(digest, number),
                    }
                )
                offset += store.write(data)
                if number % 10000 == 9999:
                    log.info("%d images", number + 1)
        table = pd.DataFrame(rows)
        check_counts(dataset, table)
        with replacing(folder / paths.INDEX_FILE) as temporary_index:
            table.to_parquet(temporary_index, index=False)
    log.info("%d images, %.1f MB of pixels", len(table), offset / 1e6)
    return table


def check_counts(dataset: type[Dataset], index: pd.DataFrame) -> None:
    """Compare an index with the published counts.

    Raises:
        DataError: One differs; names which, with both numbers.
    """
    for key, expected in dataset.counts.items():
        split, _, column = key.partition(":")
        split, _, subset = split.partition("/")
        part = index[index["split"] == split]
        if subset:
            part = part[part["subset"] == subset]
        actual = part[column].nunique() if column else len(part)
        if actual != expected:
            what = f"classes of {column}" if column else "images"
            raise DataError(
                f"{dataset.name}: {split}{'/' + subset if subset else ''} has {actual:,} {what}, "
                f"published are {expected:,}; the archive is another version or damaged"
            )
