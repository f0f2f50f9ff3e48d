"""The summary of a prepared dataset."""

from zlib import crc32

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.data.store import ImageStore
from dmlbench.data.summary import contact_sheet, summarise
from dmlbench.files import write_parquet

COPIES = pd.DataFrame({"id": [3, 4, 5], "same": [True, False, False]})


def prepared(folder):
    """Three training images of two classes, the third a copy, and a test image of another size."""
    sizes = [(2, 3), (2, 3), (2, 3), (4, 4)]
    index = pd.DataFrame(
        {
            "id": range(4),
            "path": list("abcd"),
            "split": ["train"] * 3 + ["test"],
            "subset": ["", "", "", "seen"],
            "letter": ["x", "x", "y", "z"],
            "height": [h for h, _ in sizes],
            "width": [w for _, w in sizes],
            "channels": 1,
            "offset": np.cumsum([0] + [h * w for h, w in sizes])[:4],
            "content": [0, 1, 0, 3],
        }
    )
    pixels = bytes(range(34))
    images = np.split(np.frombuffer(pixels, np.uint8), index["offset"][1:])
    write_parquet(folder / paths.INDEX_FILE, index.assign(crc32=list(map(crc32, images))))
    (folder / paths.PIXELS_FILE).write_bytes(pixels)
    return ImageStore(folder)


def test_the_counts_of_every_part_are_told(tmp_path):
    text = summarise("made", prepared(tmp_path).index, COPIES)
    assert text.startswith(
        "made: 4 images, 2 to 4 pixels a side, 0.0 MB of pixels, copies of other images: 1"
    )
    assert "training has too: 1 with the same pixels, 2 more with nearly the same" in text
    rows = [[w.strip() for w in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert ["train", "3", "letter", "2", "1 - 1.5 - 2", "1"] in rows
    assert ["test/seen", "1", "letter", "1", "1 - 1 - 1", "1"] in rows


def test_the_sheet_shows_images_of_every_part_and_is_the_same_again(tmp_path):
    store = prepared(tmp_path)
    sheet = contact_sheet("made", store)
    assert sheet.tobytes() == contact_sheet("made", store).tobytes()
    pixels = np.asarray(sheet.convert("L"))
    dark = pixels < 40  # images of small values on white
    assert dark[: len(dark) // 2].any()
    assert dark[len(dark) // 2 :].any()
