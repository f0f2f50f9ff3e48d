"""Which images and splits a prepared dataset holds, as one hash."""

import pandas as pd

from dmlbench.errors import DataError


def content_hash(index: pd.DataFrame) -> str:
    """The hash of a prepared index: names, splits, labels and pixels of all its images.

    It is the same for archives of the same images in another form or order.

    Raises:
        DataError: The index was prepared before there was such a hash.
    """
    if "sha256" not in index.attrs:
        raise DataError("the prepared dataset does not say what it holds; prepare it again")
    return index.attrs["sha256"]
