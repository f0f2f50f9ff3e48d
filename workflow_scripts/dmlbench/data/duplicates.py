"""Test images that training has too: the same pixels, or nearly the same picture."""

import numpy as np
import pandas as pd
from PIL import Image

from dmlbench.data.prepare import in_threads
from dmlbench.data.store import ImageStore
from dmlbench.neighbours.faiss_loading import load_faiss

#: The perceptual hash: imagehash.phash, 64 signs of the low frequencies of 32 x 32 gray pixels.
BITS, SIDE = 64, 32
#: Two images with at most so many other bits count as nearly the same. Photographs that are halved
#: and saved anew differ in 0 to 2, those that lose a margin of 1% in 0 to 8, others in 18 or more.
NEAR = 4
_COLUMNS = {"id": "int64", "of": "int64", "same": "bool", "bits": "int64"}


def find_duplicates(store: ImageStore, threads: int = 1) -> pd.DataFrame:
    """The images of the test whose copy is in another split.

    A row for each: its ``id``; ``of``, the id of the other image; whether the pixels are the
    ``same``; and the ``bits`` in which the perceptual hashes differ, 0 to :data:`NEAR`. Of a
    dataset in folds each fold is looked at as the test. Images with a side below :data:`SIDE`
    pixels are only looked for by their pixels: their hash is that of a blurred enlargement.
    """
    index = store.index
    large = (store.shapes[:, :2] >= SIDE).all(axis=1)
    hashes = np.zeros((len(index), BITS // 8), dtype=np.uint8)
    rows = np.flatnonzero(large)
    codes = in_threads(lambda row: _hash(store.image(row)), rows, threads)
    for row, code in zip(rows, codes, strict=True):
        hashes[row] = code
    split = index["split"].to_numpy()
    folds = sorted(name for name in set(split) if name.startswith("fold"))
    found = []
    for name in folds or ["test"]:
        mine = split == name
        same = _same(index, mine)
        near = _near(index, hashes, mine & large, ~mine & large)
        found += [same, near[~near["id"].isin(same["id"])]]
    return pd.concat(found, ignore_index=True).astype(_COLUMNS)


def _hash(image: np.ndarray) -> np.ndarray:
    from imagehash import phash  # with SciPy, which takes a while

    return np.packbits(phash(Image.fromarray(image.squeeze())).hash)


def _same(index: pd.DataFrame, mine: np.ndarray) -> pd.DataFrame:
    """The rows of ``mine`` with the pixels of another row, and the first such row."""
    first = index[~mine].groupby("content")["id"].min()
    of = index.loc[mine, "content"].map(first).dropna()
    return pd.DataFrame({"id": index.loc[of.index, "id"], "of": of, "same": True, "bits": 0})


def _near(
    index: pd.DataFrame, hashes: np.ndarray, mine: np.ndarray, others: np.ndarray
) -> pd.DataFrame:
    """The rows of ``mine`` with nearly the hash of one of ``others``, and the nearest of these."""
    if not (mine.any() and others.any()):
        return pd.DataFrame(columns=list(_COLUMNS))
    gallery = load_faiss().IndexBinaryFlat(BITS)
    gallery.add(hashes[others])
    bits, place = (found[:, 0] for found in gallery.search(hashes[mine], 1))
    near, ids = bits <= NEAR, index["id"].to_numpy()
    of = ids[others][place[near]]
    return pd.DataFrame({"id": ids[mine][near], "of": of, "same": False, "bits": bits[near]})
