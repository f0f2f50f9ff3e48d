"""Frozen backbones: which trainings can share features that are computed once, and their names."""

from pathlib import Path

from dmlbench.config.recipe import weights_hash
from dmlbench.seeding import derive_seed

#: What decides the features of a dataset.
_KEYS = (
    "backbone", "pooling", "store", "image_size", "crop", "eval_transforms", "mean_std", "features",
)  # fmt: skip


def uses_features(recipe: dict) -> bool:
    """Whether a resolved recipe trains a head on stored features.

    The backbone is frozen, its weights are no seed's, and an image looks the same in each epoch.
    """
    varies = recipe["train_transforms"] is not None or recipe["crop"] != "none"
    return recipe["freeze"] == "backbone" and recipe["weights"] != "none" and not varies


def network_name(recipe: dict) -> str:
    """The name of the features of a resolved recipe: the same name, the same features."""
    facts = {key: recipe[key] for key in _KEYS}
    digest = facts["weights"] = weights_hash(recipe["weights"]) or recipe["weights"]
    if recipe["mean_std"] == "weights" and digest != recipe["weights"]:
        facts["tag"] = Path(recipe["weights"]).stem  # by which timm says what images they want
    return f"{recipe['backbone']}_{derive_seed('features', facts):016x}"
