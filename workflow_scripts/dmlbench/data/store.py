"""Reading a prepared dataset: the index and the pixels, mapped into memory."""

from pathlib import Path

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.errors import DataError


class ImageStore:
    """The index of a prepared dataset and its pixels.

    Attributes:
        index: One row per image; see :func:`dmlbench.data.prepare.prepare`.
    """

    def __init__(self, folder: Path) -> None:
        """Open the dataset that was prepared in ``folder``.

        Raises:
            DataError: A file is missing, or the store is shorter or longer than the index says.
        """
        index, pixels = folder / paths.INDEX_FILE, folder / paths.PIXELS_FILE
        for path in (index, pixels):
            if not path.is_file():
                raise DataError(f"{path} is missing; run the prepare step first")
        self.index = pd.read_parquet(index)
        sizes = self.index["height"] * self.index["width"] * self.index["channels"]
        if pixels.stat().st_size != sizes.sum():
            raise DataError(f"{pixels} does not belong to {index}; delete both and prepare again")
        self._pixels = np.memmap(pixels, dtype=np.uint8, mode="r")

    def image(self, row: int) -> np.ndarray:
        """The pixels of one row: uint8, height x width x channels."""
        at = self.index.iloc[row]
        shape = (at["height"], at["width"], at["channels"])
        start = at["offset"]
        return self._pixels[start : start + int(np.prod(shape))].reshape(shape)

    def uniform(self) -> np.ndarray | None:
        """All images as one array, N x H x W x C, or None where their shapes differ."""
        shapes = self.index[["height", "width", "channels"]].drop_duplicates()
        if len(shapes) != 1:
            return None
        return self._pixels.reshape(len(self.index), *shapes.iloc[0])
