"""Reading a prepared dataset: the index and the pixels, mapped into memory."""

from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from dmlbench import paths
from dmlbench.errors import DataError
from dmlbench.files import read_parquet

#: What an index says of an image's pixels.
OF_PIXELS = ("height", "width", "channels", "offset", "crc32", "content")


class ImageStore:
    """The index of a prepared dataset and its pixels.

    Attributes:
        index: One row per image; see :func:`dmlbench.data.prepare.prepare`.
        shapes: N x 3: height, width and channels of each row.
        pixels: Those of all images one after the other, flat uint8.
        starts: Where the pixels of each of the N rows begin.
    """

    def __init__(self, folder: Path, prepared: Path | None = None) -> None:
        """Open the dataset in ``folder``, or the copy there of one that was ``prepared`` elsewhere.

        Raises:
            DataError: A file is missing or damaged, or the store is shorter or longer than the
                index says.
        """
        index, pixels = folder / paths.INDEX_FILE, folder / paths.PIXELS_FILE
        for path in (index, pixels):
            if not path.is_file():
                raise DataError(f"{path} is missing; run the prepare step first")
        self.index = read_parquet(index)
        # As arrays: a row of the table takes longer to look up than its pixels to read.
        self.shapes = self.index[["height", "width", "channels"]].to_numpy(dtype=np.int64)
        self.starts = self.index["offset"].to_numpy(dtype=np.int64)
        sizes, size = self.shapes.prod(axis=1), pixels.stat().st_size
        if size != sizes.sum() or size != (self.starts + sizes).max():
            raise DataError(f"{pixels} does not belong to {index}; delete both and prepare again")
        # Copy on write, for this process only: PyTorch warns of arrays that cannot be written to.
        self.pixels = np.memmap(pixels, dtype=np.uint8, mode="c").view(np.ndarray)
        self._places = folder, prepared
        self._checksums = self.index["crc32"].to_numpy()
        self._unread = np.ones(len(self.index), dtype=bool)

    def __reduce__(self) -> tuple:
        """Another process opens the files itself."""
        return ImageStore, self._places

    def image(self, row: int) -> np.ndarray:
        """The pixels of one row: uint8, height x width x channels.

        A DataError says that they are not those that were prepared. Each process looks once.
        """
        shape, start = self.shapes[row], self.starts[row]
        pixels = self.pixels[start : start + shape.prod()]
        if self._unread[row]:
            if crc32(pixels) != self._checksums[row]:
                self._refuse(row)
            self._unread[row] = False
        return pixels.reshape(shape)

    def _refuse(self, row: int) -> None:
        folder, prepared = self._places
        copy = f" or its copy in {folder}" if prepared else ""
        file = (prepared or folder) / paths.PIXELS_FILE
        raise DataError(
            f"{file}{copy}: the pixels of '{self.index['path'].iloc[row]}' are not those that were "
            f"prepared; delete {file} and run again"
        )

    def thumbnail(self, row: int, side: int) -> Image.Image:
        """One image in colour, fitted into a white square; small scans are enlarged by pixels."""
        picture = Image.fromarray(self.image(row).squeeze()).convert("RGB")
        how = Image.Resampling.NEAREST if max(picture.size) < side else Image.Resampling.LANCZOS
        return ImageOps.pad(picture, (side, side), how, color="white")


def content_hash(index: pd.DataFrame) -> str:
    """The hash of a prepared index: names, splits, labels and pixels, whatever their archive."""
    return index.attrs["sha256"]
