"""Configs, and the images that they are about, drawn at random: tiny, legal in form, often odd."""

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from PIL import Image

#: What users call their classes; each must come through as it is.
CLASSES = (
    "NA",
    "007",
    "None",
    "1e5",
    "a_b",
    "x y",
    "$x$",
    "50%",
    "#1",
    "Ünal",
    "it's",
    "日本",
    "-",
)
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
def images(draw) -> dict:
    """What images there are: of each class, by the seeds of their noise; their shape; and a table's
    row for each of them, or None where the class folders are all.
    """
    names = draw(some(CLASSES, 4, 7))
    # The same seed is the same image, also in another class; copies are not rare.
    odd = st.lists(st.just(0) | st.integers(0, 999), min_size=1, max_size=6)
    classes = {
        name: draw(mostly([1000 * place + n for n in range(1, 7)], odd))
        for place, name in enumerate(names, start=1)
    }
    return {
        "classes": classes,
        "shape": draw(st.sampled_from([(16, 16, 3), (16, 16), (9, 20, 3)])),
        "mixed": draw(mostly(False, st.booleans())),
        "rows": draw(st.none() | rows(classes)),
    }


@st.composite
def rows(draw, classes: dict) -> list[dict]:
    """A table of these images: whole classes, or single images, for training; some with roles."""
    closed, roles = draw(mostly(False, st.just(True))), draw(mostly(False, st.just(True)))
    splits, kinds = st.sampled_from(["train", "train", "test", "test", "validation"]), {}
    halves = ["train"] * (len(classes) // 2) + ["test"] * len(classes)
    found = []
    for place, (name, seeds) in enumerate(classes.items()):
        of_class = draw(mostly(halves[place], splits))
        kinds[name] = draw(st.sampled_from(["light", "dark"]))
        for number in range(len(seeds)):
            split = draw(splits) if closed else of_class
            row = {"path": f"folder/{name}/{number}.png", "class": name, "kind": kinds[name]}
            role = draw(st.sampled_from(["query", "gallery", "both"])) if split == "test" else ""
            found.append(row | {"split": split} | ({"role": role} if roles else {}))
    return found


def write_images(drawn: dict) -> None:
    """Write them below the working directory, with ``table.csv`` and vectors of all of them."""
    height, width, *channels = drawn["shape"]
    for name, seeds in drawn["classes"].items():
        folder = Path("folder", name)
        folder.mkdir(parents=True)
        for place, seed in enumerate(seeds):
            shape = (height + drawn["mixed"] * (place % 2), width, *channels)
            pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{place}.png")
    if drawn["rows"]:
        table = pd.DataFrame(drawn["rows"])
        table.to_csv("table.csv", index=False)
        np.save("vectors.npy", np.random.default_rng(0).standard_normal((len(table), 3)))


def own_dataset(draw, drawn: dict) -> dict:
    """The entry of these images in the config."""
    if not drawn["rows"]:
        share = draw(mostly(0.5, st.sampled_from([0.1, 0.9])))
        return {
            "folder": "folder",
            "split": draw(st.sampled_from(["first", "random"])),
            "train_share": share,
        }
    shared = {s: {r["class"] for r in drawn["rows"] if r["split"] == s} for s in ("train", "test")}
    closed = bool(shared["train"] & shared["test"])
    labels = draw(mostly(["class"], st.just(["class", "kind"])))
    return {"table": "table.csv", "labels": labels, "protocol": "closed" if closed else "disjoint"}


@st.composite
def configs(draw) -> tuple[dict, dict]:
    """Images, and a config about them."""
    drawn = draw(images())
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
        {
            "loss": loss,
            "sampler": "tuples" if loss in TUPLES else draw(st.sampled_from(["none", "batches"])),
        }
        for loss in draw(some([*TUPLES, *BATCHES], 1, 2))
    ]
    dataset = draw(NAMES)
    experiment = {
        "title": draw(st.sampled_from(["", "$a_b$ & 日本"])),
        "dataset": dataset,
        "recipe": "r",
    }
    experiments = {
        name: {**experiment, "methods": methods}
        for name in draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))
    }
    if draw(mostly(False, st.booleans())):
        next(iter(experiments.values()))["sweep"] = {"recipe.epochs": [1, 2]}
    vectors = bool(drawn["rows"]) and draw(mostly(False, st.just(True)))
    if vectors:
        next(iter(experiments.values()))["features"] = ["vectors"]
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
    return drawn, {
        "name": draw(NAMES),
        "seeds": draw(mostly([0], st.just([1, 0]))),
        "selections": draw(selections),
        "datasets": {dataset: own_dataset(draw, drawn)},
        "recipes": {"r": recipe},
        "losses": losses,
        "samplers": samplers,
        "experiments": experiments,
        "evaluation": evaluation,
        "projection": {
            "perplexity": draw(st.sampled_from([2, 30])),
            "selection": draw(mostly("last", st.just("val"))),
        },
        "controls": draw(mostly([], some(["random", "untrained", "pca", "shuffled"]))),
        "features": {"vectors": {"file": "vectors.npy"}} if vectors else {},
        "partial": draw(st.sampled_from([False, False, True])),
    }
