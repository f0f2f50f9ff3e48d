"""Whether the images of a run are enough: to train on, and to choose an epoch by; and how many of
them it uses.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dmlbench.config.dataset_facts import VALIDATION, Part
from dmlbench.config.variation import constant
from dmlbench.errors import ConfigError

if TYPE_CHECKING:
    from dmlbench.training.training_images import TrainingImages

_REMEDY = {
    "val": "raise recipe.validation, add images, or leave val out of selections",
    "test_max": "leave test_max out of selections",
}


def check_enough(images: "TrainingImages", spec: dict, parts: dict[str, Part]) -> None:
    """Refuse what cannot be composed, learnt from or chosen by.

    ``parts`` are those that decide each selection. A ConfigError has a line for each of: too few
    classes for a batch, no positive for any image, a selection by a measure that cannot vary.
    """
    name, wanted, problems = spec["dataset"], images.classes_in_batch or 2, []
    if images.classes < wanted:
        problems.append(
            f"{name}: a batch takes {wanted} classes, but {images.classes} are left to train on; "
            "raise per_class, lower batch_size, or hold less out (recipe.validation)"
        )
    if spec["sampler"]["positive"] and not matchable(images).any():
        problems.append(
            f"{name}: no class has two different images to train on, so there is no positive; add "
            "images, or hold less out (recipe.validation)"
        )
    for selection, part in parts.items():
        if selection in spec["selections"] and (why := constant(part, images.index)):
            problems.append(f"{name}: selections: {selection}: {why}; {_REMEDY[selection]}")
    if problems:
        raise ConfigError("\n".join(problems))


def matchable(images: "TrainingImages") -> np.ndarray:
    """Which training images have a positive: another image of their class that is no copy."""
    table = pd.DataFrame({"label": images.labels, "content": images.content[images.rows]})
    return (table.groupby("label")["content"].transform("nunique") > 1).to_numpy()


def counts(images: "TrainingImages", epochs: int) -> dict[str, int]:
    """What became of the images for training, for a run's record.

    ``images`` and ``classes`` are trained on; ``held_out`` images and ``held_out_classes``, whole
    ones, are for validation. Of those trained on, ``without_positive`` have no other image of
    their class, and ``never_drawn`` were in no batch of any epoch.
    """
    held_out = images.index[images.index["split"] == VALIDATION]
    trained = images.index.iloc[images.rows]
    whole = set(held_out[images.label]) - set(trained[images.label])
    waiting = np.ones(len(images.rows), dtype=bool)
    for epoch in range(1, epochs + 1):
        for positions in images.batches(epoch):
            waiting[positions] = False
        if not waiting.any():
            break
    return {
        "images": len(images.rows),
        "classes": images.classes,
        "held_out": len(held_out),
        "held_out_classes": len(whole),
        "without_positive": int((~matchable(images)).sum()),
        "never_drawn": int(waiting.sum()),
    }
