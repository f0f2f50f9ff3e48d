"""The smallest config of one's own images, and its images: what users' mistakes are tried on."""

import shutil
from pathlib import Path

from test_enough import noise

RECIPE = {
    "backbone": "small_cnn",
    "widths": [4],
    "embedding_dim": 4,
    "image_size": 8,
    "batch_size": 6,
    "epochs": 1,
    "validation": 0,
}


def base(recipe=None, evaluation=None, **changes):
    """A config of one training on the folder ``images``, its classes c0 to c5."""
    measured = {"recall_at": [1], "metrics": ["recall"], "kmeans_seeds": [0], "kmeans_restarts": 1}
    config = {
        "name": "base",
        "seeds": [0],
        "selections": ["last"],
        "datasets": {"mine": {"folder": "images"}},
        "recipes": {"r": RECIPE | (recipe or {})},
        "losses": {"triplet": "triplet"},
        "samplers": {"eps": {"per_class": 2, "positive": "easy", "negative": "random"}},
        "experiments": {
            "e": {
                "dataset": "mine",
                "recipe": "r",
                "methods": [{"loss": "triplet", "sampler": "eps"}],
            }
        },
        "evaluation": measured | (evaluation or {}),
        "projection": {"perplexity": 2, "selection": "last"},
        "controls": [],
    }
    return config | changes


def images(sizes=(6,) * 6, copies=()):
    """Classes with so many images below the working directory; then some over others, by names."""
    noise(Path("images"), sizes)
    for one, other in copies:
        shutil.copy(f"images/{one}.png", f"images/{other}.png")


def whole_class(one, other):
    """The copies of a class of six images over another."""
    return [(f"{one}/{number}", f"{other}/{number}") for number in range(6)]


def pairs_in(*names):
    """In each class, image 0 over 1, 2 over 3, 4 over 5."""
    return [(f"{name}/{n}", f"{name}/{n + 1}") for name in names for n in (0, 2, 4)]
