"""What a run trains on, is watched with and is tested on."""

import numpy as np
import pandas as pd

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.config.dataset_facts import VALIDATION
from dmlbench.files import read_parquet
from dmlbench.seeding import validation_mask


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
