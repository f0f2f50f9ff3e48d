"""The validation split, carved from the training images."""

import numpy as np
import pandas as pd

from dmlbench.config.splits import validation_classes
from dmlbench.seeding import derive_seed


def run_index(index: pd.DataFrame, test_fold: int | None) -> pd.DataFrame:
    """The index of a run: of a dataset in folds, one becomes the test, the others train."""
    if test_fold is None:
        return index
    test = index["split"] == f"fold{test_fold}"
    return index.assign(split=np.where(test, "test", "train"))


def validation_mask(index: pd.DataFrame, label: str, share: float, *axes: object) -> np.ndarray:
    """Which rows of ``index`` are held out for validation: a boolean mask, True only in train.

    Whole classes where there are enough of them, so that validation measures what the test
    measures: unseen classes. Else the same share of each class's images, copies of an image
    (equal ``content``) staying on one side.

    Args:
        index: The prepared index.
        label: The label column that training sees.
        share: The share of classes, or of images, to hold out.
        axes: What the draw depends on besides the share (the dataset's name).
    """
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
    for value in classes:
        contents = index.loc[train & (index[label] == value).to_numpy(), "content"].unique()
        size = max(1, round(len(contents) * share))
        chosen.append(rng.choice(contents, size=size, replace=False))
    return train & index["content"].isin(np.concatenate(chosen)).to_numpy()
