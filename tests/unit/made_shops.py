"""Stanford Online Products and In-Shop in their real form, of any size; the images are made."""

import zipfile
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

_SOP = "Stanford_Online_Products"
KINDS = (
    *("bicycle", "cabinet", "chair", "coffee_maker", "fan", "kettle", "lamp", "mug", "sofa"),
    *("stapler", "table", "toaster"),
)
#: Images and products of each part, as published.
SOP = {"train": (59551, 11318), "test": (60502, 11316)}
#: Images and items of each evaluation_status, as published.
IN_SHOP = {"train": (25882, 3997), "query": (14218, 3985), "gallery": (12612, 3985)}


def sop_tables(sizes: dict[str, tuple[int, int]] = SOP) -> dict[str, list[str]]:
    """The lines of Ebay_train.txt and Ebay_test.txt: products are in turn of each kind."""
    tables, image_id, before = {}, 0, 0
    for split, (images, products) in sizes.items():
        lines = ["image_id class_id super_class_id path"]
        for number in range(images):
            image_id, product = image_id + 1, before + number % products + 1
            kind = product % len(KINDS)
            path = f"{KINDS[kind]}_final/{111000000000 + product}_{number // products}.JPG"
            lines.append(f"{image_id} {product} {kind + 1} {path}")
        tables[split], before = lines, before + products
    return tables


def sop_zip(path: Path, tables: dict[str, list[str]], images: Iterable[bytes]) -> Path:
    """The archive of ``tables``; its members have ``images`` in turn, none where there are none.

    It also has what the real one does not need: a table of both parts, and a desktop's files.
    """
    images = cycle(images)
    with zipfile.ZipFile(path, "w") as archive:
        for split, lines in tables.items():
            archive.writestr(f"{_SOP}/Ebay_{split}.txt", "\n".join(lines) + "\n")
        archive.writestr(f"{_SOP}/Ebay_info.txt", "no table")
        archive.writestr(f"__MACOSX/{_SOP}/bicycle_final/._1_0.JPG", b"no image")
        rows = [line.split() for lines in tables.values() for line in lines[1:]]
        for (*_, name), content in zip(rows, images, strict=False):
            archive.writestr(f"{_SOP}/{name}", content)
    return path


def in_shop_lines(sizes: dict[str, tuple[int, int]] = IN_SHOP) -> list[str]:
    """The lines of list_eval_partition.txt; queries and gallery have the same items."""
    lines = []
    for status, (images, items) in sizes.items():
        for number in range(images):
            item = f"id_{number % items + (0 if status == 'train' else sizes['train'][1]):08d}"
            name = f"img/WOMEN/Dresses/{item}/{number // items:02d}_{status[0]}_front.jpg"
            lines.append(f"{name:<72} {item} {status}")
    return [str(len(lines)), "image_name item_id evaluation_status", *lines]


def in_shop_files(folder: Path, lines: list[str], images: Iterable[bytes]) -> dict[str, str]:
    """The table and the archive in ``folder``, by file name, as a dataset is given them."""
    table, archive = folder / "list_eval_partition.txt", folder / "img.zip"
    table.write_text("\n".join(lines) + "\n")
    with zipfile.ZipFile(archive, "w") as file:
        for line, content in zip(lines[2:], cycle(images), strict=False):
            file.writestr(line.split()[0], content)
    return {table.name: str(table), archive.name: str(archive)}
