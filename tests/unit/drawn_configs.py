"""Configs, and the images that they are about, drawn at random: tiny, legal in form, often odd."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

#: What users call their classes; each must come through as it is.
CLASSES = ("NA", "007", "None", "1e5", "a_b", "x y", "$x$", "50%", "#1", "Ünal", "it's", "日本", "-")
#: Names that a file, a column or a rule has, too.
NAMES = st.sampled_from(["a", "train", "train_a", "overall", "test", "loss", "a_b"])
TUPLES = ("contrastive", "margin", "multi_similarity", "triplet")
BATCHES = ("d_loss", "pd_loss", "proxy_nca")
POSITIVES = ("all", "easy", "hard", "random", "softhard")
NEGATIVES = ("all", "distance", "hard", "random", "semihard", "softhard")
METRICS = ("ami", "collapse", "map_at_r", "mrr", "nmi", "nmi_plus", "r_precision", "recall")


def some(values, least=1, most=3):
    """A few different ones of some values, in any order."""
    return st.lists(st.sampled_from(values), min_size=least, max_size=most, unique=True)


def mostly(value, others):
    """``value``, but now and then one of ``others``."""
    return st.integers(0, 9).flatmap(lambda number: others if number == 9 else st.just(value))


@st.composite
def folders(draw) -> dict:
    """Class folders: the images of each class, by the seeds of their noise, and their shape."""
    names = draw(some(CLASSES, 4, 7))
    # The same seed is the same image, also in another class; copies are not rare.
    odd = st.lists(st.just(0) | st.integers(0, 999), min_size=1, max_size=6)
    classes = {
        name: draw(mostly([1000 * place + n for n in range(1, 7)], odd))
        for place, name in enumerate(names, start=1)
    }
    shape = draw(st.sampled_from([(16, 16, 3), (16, 16), (9, 20, 3)]))
    return {"classes": classes, "shape": shape, "mixed": draw(mostly(False, st.booleans()))}


def write_folder(drawn: dict, folder: Path) -> None:
    """Write the images."""
    for name, seeds in drawn["classes"].items():
        (folder / name).mkdir(parents=True)
        for place, seed in enumerate(seeds):
            height, width, *channels = drawn["shape"]
            shape = (height + drawn["mixed"] * (place % 2), width, *channels)
            pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{place}.png")


@st.composite
def configs(draw) -> dict:
    """A config about ``folder``."""
    selections = mostly(["last"], some(["last", "val", "test_max"]))
    per_class = draw(mostly(2, st.sampled_from([None, 3])))
    recipe = {
        "backbone": "small_cnn",
        "widths": [4],
        "embedding_dim": draw(st.integers(2, 4)),
        "image_size": draw(mostly(8, st.none())),
        "batch_size": draw(mostly(6, st.integers(2, 8))),
        "epochs": draw(st.integers(1, 2)),
        "validation": draw(mostly(0.1, st.sampled_from([0, 0.3, 0.5]))),
        "normalize": draw(mostly(True, st.booleans())),
    }
    samplers = {
        "tuples": {
            "per_class": per_class,
            "positive": draw(st.sampled_from(POSITIVES)),
            "negative": draw(st.sampled_from(NEGATIVES)),
        },
        "batches": {"per_class": draw(mostly(2, st.integers(2, 4)))},
    }
    losses = {name: name for name in (*TUPLES, *BATCHES)}
    methods = [
        {"loss": loss, "sampler": "tuples" if loss in TUPLES else draw(st.sampled_from(["none", "batches"]))}
        for loss in draw(some([*TUPLES, *BATCHES], 1, 2))
    ]
    dataset = draw(NAMES)
    experiment = {"title": draw(st.sampled_from(["", "$a_b$ & 日本"])), "dataset": dataset, "recipe": "r"}
    experiments = {name: {**experiment, "methods": methods} for name in draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))}
    if draw(mostly(False, st.booleans())):
        next(iter(experiments.values()))["sweep"] = {"recipe.epochs": [1, 2]}
    own = {"folder": "folder", "split": draw(st.sampled_from(["first", "random"])), "train_share": draw(mostly(0.5, st.sampled_from([0.1, 0.9])))}
    evaluation = {
        "splits": draw(some(["test", "train"], 1, 2)),
        "metrics": draw(mostly(["recall", "nmi_plus"], some(METRICS, 1, 8))),
        "recall_at": draw(mostly([1, 2], st.sampled_from([[2], [1, 4], [8]]))),
        "nmi_plus": draw(mostly(2, st.sampled_from([10, {"class": 2}, {"clas": 3}]))),
        "kmeans_seeds": [0],
        "kmeans_restarts": 1,
        "exclude_duplicates": draw(mostly(False, st.booleans())),
        "body": draw(mostly(False, st.booleans())),
    }
    return {
        "name": draw(NAMES),
        "seeds": draw(mostly([0], st.just([1, 0]))),
        "selections": draw(selections),
        "datasets": {dataset: own},
        "recipes": {"r": recipe},
        "losses": losses,
        "samplers": samplers,
        "experiments": experiments,
        "evaluation": evaluation,
        "projection": {"perplexity": draw(st.sampled_from([2, 30])), "selection": draw(mostly("last", st.just("val")))},
        "controls": draw(mostly([], some(["random", "untrained", "pca", "shuffled"]))),
        "partial": draw(mostly(False, st.booleans())),
    }
