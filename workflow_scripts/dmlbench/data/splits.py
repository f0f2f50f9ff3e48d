"""What a run trains on, is watched with and is tested on."""

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.config.dataset_facts import VALIDATION
from dmlbench.files import read_parquet
from dmlbench.seeding import derive_seed, validation_classes

#: So many different images of a class can be matched with each other.
_PAIR = 2


def index_of(plan: Plan, run: Run) -> pd.DataFrame:
    """The prepared index of a run's dataset, with the run's splits (:func:`run_index`)."""
    prepared = read_parquet(plan.data_folder(run) / paths.INDEX_FILE)
    label = plan.facts(run.dataset).train_label
    return run_index(prepared, plan.recipes[run.recipe], run.dataset, label)


def run_index(index: pd.DataFrame, recipe: dict, dataset: str, label: str) -> pd.DataFrame:
    """The prepared index with the splits of one run, which trains on ``label``.

    Where a dataset is in folds, one becomes the test and the others train. What is held out for
    validation becomes a split of its own, so that ``train`` is what the run trained on. Nothing is
    held out where the dataset has such a split itself.
    """
    if index["split"].eq(VALIDATION).any():
        return index
    if recipe["test_fold"] is not None:
        test = index["split"] == f"fold{recipe['test_fold']}"
        index = index.assign(split=np.where(test, "test", "train"))
    held_out = validation_mask(index, label, recipe["validation"], dataset)
    return index.assign(split=index["split"].mask(held_out, VALIDATION))


def validation_mask(index: pd.DataFrame, label: str, share: float, *axes: object) -> np.ndarray:
    """Which rows of ``index`` are held out for validation: a boolean mask, True only in train.

    Whole classes where there are enough of them, so that validation measures what the test
    measures: unseen classes. Else the same ``share`` of each class's images, copies of an image
    (equal ``content``) staying on one side: at least two, which can be matched, and two are left to
    train on. A class with fewer than four different images is trained on as a whole. The draw
    depends on the share and ``axes``.
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
    for _, contents in index[train].groupby(label, sort=True)["content"]:
        images = contents.unique()
        number = min(max(_PAIR, round(len(images) * share)), len(images) - _PAIR)
        if number >= _PAIR:
            chosen += rng.choice(images, size=number, replace=False).tolist()
    return train & index["content"].isin(chosen).to_numpy()
