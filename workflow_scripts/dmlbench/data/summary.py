"""A prepared dataset at a glance: counts on one screen, and images to look at."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from dmlbench.data.store import OF_PIXELS, ImageStore
from dmlbench.seeding import derive_seed

#: Columns of the index that are no labels.
_OWN = {"id", "path", "split", "subset", "role", *OF_PIXELS}
_TILE, _GAP, _COLUMNS, _ROWS = 96, 4, 12, 4


def summarise(name: str, index: pd.DataFrame, duplicates: pd.DataFrame) -> str:
    """The counts of a prepared dataset in Markdown, one row for each part and label column.

    ``duplicates`` are the images of the test that training has too (:mod:`.duplicates`).
    """
    rows = []
    for place, part in _places(index):
        for label in [c for c in index.columns if c not in _OWN and part[c].notna().any()]:
            sizes = part[label].value_counts()
            spread = f"{sizes.min()} - {sizes.median():g} - {sizes.max()}"
            counts = (f"{len(part):,}", label, f"{len(sizes):,}", spread, f"{(sizes == 1).sum():,}")
            rows.append((place, *counts))
    columns = ["part", "images", "label", "classes", "images per class", "with one image"]
    table = pd.DataFrame(rows, columns=columns).to_markdown(index=False, disable_numparse=True)
    sides = index[["height", "width"]]
    copies = (index["content"] != index["id"]).sum()
    pixels = (index["height"] * index["width"] * index["channels"]).sum()
    same = int(duplicates["same"].sum())
    others = index.attrs.get("left_out")
    told = f"left out, as no image of a class: {others}\n" if others else ""
    return (
        f"{name}: {len(index):,} images, {sides.min().min()} to {sides.max().max()} pixels a side, "
        f"{pixels / 1e6:,.1f} MB of pixels, copies of other images: {copies:,}\n\n"
        f"{table}\n\n(images per class: fewest - median - most)\n\n"
        f"images of the test that training has too: {same:,} with the same pixels, "
        f"{len(duplicates) - same:,} more with nearly the same perceptual hash\n{told}"
    )


def _places(index: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The parts by name, and behind each its queries and its gallery where these are apart."""
    for (split, subset), part in index.groupby(["split", "subset"]):
        place = f"{split}/{subset}" if subset else split
        yield place, part
        for role in ("query", "gallery") if "role" in part else ():
            some = part[part["role"].isin((role, "both"))]
            if len(some):
                yield f"{place}@{role}", some


def contact_sheet(name: str, store: ImageStore) -> Image.Image:
    """Random images of every part, a block of rows for each; always the same ones."""
    parts = list(store.index.groupby(["split", "subset"]))
    block = _TILE * _ROWS + 20
    sheet = Image.new("RGB", (_TILE * _COLUMNS, block * len(parts)), "white")
    for number, ((split, subset), part) in enumerate(parts):
        rng = np.random.default_rng(derive_seed("contact sheet", name, split, subset))
        top = number * block
        title = f"{name}, {split} {subset}".rstrip() + f": {len(part):,} images"
        ImageDraw.Draw(sheet).text((4, top + 4), title, fill="black")
        chosen = rng.choice(part.index, size=min(len(part), _COLUMNS * _ROWS), replace=False)
        for place, row in enumerate(chosen):
            x, y = place % _COLUMNS * _TILE, place // _COLUMNS * _TILE
            sheet.paste(store.thumbnail(row, _TILE - _GAP), (x + _GAP, top + 20 + y))
    return sheet
