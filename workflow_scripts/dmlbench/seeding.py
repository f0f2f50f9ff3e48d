"""Seeds as hashes of named axes, and what a validation split draws.

Sums of seeds would make streams collide across a sweep. Methods that share the values of all axes
share the stream, which makes them comparable in pairs.
"""

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: So many different images of a class can be matched with each other.
_PAIR = 2


def derive_seed(*axes: object) -> int:
    """A 63-bit seed that depends on the values and the order of all ``axes``."""
    text = json.dumps(axes, sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def validation_classes(train_classes: int, share: float) -> int:
    """The number of training classes held out for validation; 0 means: hold out images instead.

    With one class held out, Recall@K would always be 1; with one left, there is no negative.
    """
    held_out = round(train_classes * share)
    return held_out if held_out >= 2 and train_classes - held_out >= 2 else 0


def validation_mask(index: "pd.DataFrame", label: str, share: float, *axes: object) -> "np.ndarray":
    """Which rows of ``index`` are held out for validation: a boolean mask, True only in train.

    Whole classes where there are enough of them, so that validation measures what the test
    measures: unseen classes. Else the same ``share`` of each class's images, copies of an image
    (equal ``content``) staying on one side: at least two, which can be matched, and two are left to
    train on. A class with fewer than four different images is trained on as a whole. The draw
    depends on the share and ``axes``.
    """
    import numpy as np  # every job imports this module, few need it

    train = (index["split"] == "train").to_numpy()
    classes = np.sort(index.loc[train, label].unique())
    rng = np.random.default_rng(derive_seed("validation", share, *axes))
    count = validation_classes(len(classes), share)
    if share == 0:
        return np.zeros(len(index), dtype=bool)
    if count:
        held_out = rng.choice(classes, size=count, replace=False)
        return train & index[label].isin(held_out).to_numpy()
    chosen = []
    for _, contents in index[train].groupby(label, sort=True)["content"]:
        images = contents.unique()
        number = min(max(_PAIR, round(len(images) * share)), len(images) - _PAIR)
        if number >= _PAIR:
            chosen += rng.choice(images, size=number, replace=False).tolist()
    return train & index["content"].isin(chosen).to_numpy()
