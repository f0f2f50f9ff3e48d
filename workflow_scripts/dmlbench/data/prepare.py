"""From archives to an index and a pixel store, in one pass."""

import hashlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import pandas as pd

from dmlbench import paths
from dmlbench.config.dataset_facts import ROLES
from dmlbench.data.dataset import Dataset, Record
from dmlbench.data.decode import STORES, pixels
from dmlbench.data.disk import Decoded, checking_room, disk_full_is_told
from dmlbench.errors import DataError
from dmlbench.files import replacing, write_parquet
from dmlbench.progress import counting

log = logging.getLogger(__name__)

#: So many images that cannot be read are named; the others are counted.
_LISTED = 10


def prepare(
    dataset: type[Dataset],
    raw: dict[str, str],
    folder: Path,
    store: str = "original",
    threads: int = 1,
) -> pd.DataFrame:
    """Write the pixel store and the index of ``dataset`` into ``folder``; return the index.

    The store is every image's bytes, one after another, as the archives give them. The index has
    one row per image: id, path, split, subset, role (where the facts say ``roles``), label columns,
    height, width, channels, offset (of its first byte in the store), crc32 (of its bytes there) and
    content (the id of the first image with the same pixels, so that copies of an image can be
    told). Its rows, and with them the ids, are sorted: training images first, then by path,
    whatever the order in the archives.

    Args:
        raw: The verified archives' paths by file name.
        store: Which pixels to keep, one of :data:`dmlbench.data.decode.STORES`.
        threads: Images decoded at a time.

    Raises:
        DataError: An archive or an image cannot be read, a path comes twice, the counts are not
            the published ones, a role is wrong, or the disk is too small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    what = f"{dataset.name}/{store}"
    whole = [n for part, n in dataset.facts.counts.items() if not {"/", ":", "@"} & set(part)]
    total = sum(whole) or None  # train and test, or all folds
    decode = partial(_decode, dataset=dataset, short_side=STORES[store])
    with closing(in_threads(decode, dataset().records(raw), threads)) as decoded:
        images = checking_room(_readable(decoded, dataset.name), what, folder, total)
        # The index is written last, so that none is there without its pixels.
        with replacing(folder / paths.PIXELS_FILE) as temporary, disk_full_is_told(folder):
            with temporary.open("wb") as file, counting(what, total, "images") as count:
                rows = _write(file, images, count, dataset.facts.roles)
                table = _index(rows, dataset.name)
            check_counts(dataset, table)
            check_roles(dataset, table)
            (folder / paths.INDEX_FILE).unlink(missing_ok=True)
    if left_out := dataset().left_out():
        table.attrs["left_out"] = left_out
    with disk_full_is_told(folder):
        write_parquet(folder / paths.INDEX_FILE, table)
    size = (folder / paths.PIXELS_FILE).stat().st_size
    log.info("%s: %d images, %.1f MB of pixels", what, len(table), size / 1e6)
    return table


def in_threads(function: Callable, items: Iterable, threads: int) -> Iterator[Any]:
    """``function(item)`` of each item, in order, computed by threads; a few items are taken ahead.

    Only the thread of the caller reads ``items``.
    """
    items = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        while some := list(itertools.islice(items, 4 * threads)):
            yield from pool.map(function, some)


def _decode(record: Record, dataset: type[Dataset], short_side: int | None) -> Decoded | DataError:
    what = f"{dataset.name}: {record.path}"
    how = dataset.facts.mode, short_side, what, dataset.damaged_image, record.box
    try:
        image = pixels(record.image, *how)
    except DataError as error:
        return error
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(image)
    return record, image, digest.digest()


def _readable(images: Iterable[Decoded | DataError], name: str) -> Iterator[Decoded]:
    """Hand on ``images`` up to one that cannot be read; then a DataError tells of all of these."""
    damaged: list[str] = []
    for image in images:
        if isinstance(image, DataError):
            damaged.append(str(image))
        elif not damaged:
            yield image
    if len(damaged) > 1:
        told = damaged[:_LISTED]
        told += [f"and {len(damaged) - _LISTED:,} more"] if len(damaged) > _LISTED else []
        raise DataError("\n".join([f"{name}: {len(damaged):,} images cannot be read:", *told]))
    if damaged:
        raise DataError(damaged[0])


def _write(
    file: BinaryIO, images: Iterator[Decoded], count: Callable[[int], None], roles: bool
) -> list[dict]:
    """Write all pixels to ``file``; return the index's rows in the order of the file."""
    rows, offset = [], 0
    for record, image, digest in images:
        row = {"path": record.path, "split": record.split, "subset": record.subset}
        row |= {"role": record.role} if roles else {}
        row |= record.labels | dict(zip(("height", "width", "channels"), image.shape, strict=True))
        rows.append(row | {"offset": offset, "crc32": crc32(image), "digest": digest})
        offset += file.write(image.data)
        count(1)
    return rows


def _index(rows: list[dict], name: str) -> pd.DataFrame:
    """The index of the dataset ``name``: in canonical order, ids and contents added."""
    if not rows:
        raise DataError(f"{name}: there is no image in its archives")
    rows.sort(key=lambda row: (row["split"] != "train", row["split"], row["path"]))
    table = pd.DataFrame(rows)
    if table["path"].duplicated().any():
        twice = table["path"][table["path"].duplicated()].iloc[0]
        raise DataError(f"{name}: {twice} comes twice; the archive is damaged")
    table.insert(0, "id", range(len(table)))
    table["content"] = table.groupby("digest")["id"].transform("first")
    # Without the offsets, which follow the archive: the images of all mirrors have one hash. Of the
    # pixels the digest stands there already.
    left_out = ("offset", "crc32")
    known = [tuple(value for key, value in row.items() if key not in left_out) for row in rows]
    table = table.drop(columns="digest")
    table.attrs["sha256"] = hashlib.sha256(repr(known).encode()).hexdigest()
    return table


def check_counts(dataset: type[Dataset], index: pd.DataFrame) -> None:
    """Raise a DataError where a count of an index is not the published one."""
    for key, expected in dataset.facts.counts.items():
        where, _, column = key.partition(":")
        place, _, role = where.partition("@")
        split, _, subset = place.partition("/")
        part = index[(index["split"] == split) & (index["subset"].eq(subset) | (subset == ""))]
        part = part[part["role"].isin((role, "both"))] if role else part
        actual = part[column].nunique() if column else len(part)
        if actual != expected:
            what = f"classes of {column}" if column else "images"
            wrong = dataset.wrong_count.format(expected=expected)
            raise DataError(f"{dataset.name}: {where} has {actual:,} {what}, {wrong}")


def check_roles(dataset: type[Dataset], index: pd.DataFrame) -> None:
    """Raise a DataError where a test image has no role, or an evaluated part nothing to search."""
    for part in dataset.facts.evaluations:
        if (roles := part.roles(index)) is None:
            continue
        rows = part.rows(index)
        if not (known := roles.queries | roles.gallery).all():
            path, role = index[["path", "role"]].iloc[rows[~known][0]]
            valid = ", ".join(ROLES)
            raise DataError(f"{dataset.name}: {path} has the role '{role}'; take one of {valid}")
        for what, there in roles._asdict().items():
            if not there.any():
                raise DataError(f"{dataset.name}: none of the images of {part} is for the {what}")
