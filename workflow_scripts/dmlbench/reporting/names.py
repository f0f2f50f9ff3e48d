"""Names of things as tables and figures print them, and the lines that tables have."""

from dmlbench import paths
from dmlbench.config import METHOD_KEYS, RANDOM, Plan

SELECTIONS = {
    "last": "last epoch",
    "val": "best on validation",
    "test_max": "best on test (papers' protocol)",
}
SELECTIONS |= {paths.body_of(s): f"{words}, before the head" for s, words in SELECTIONS.items()}
CONTROLS = {
    "random": "Random embedding",
    "untrained": "Untrained backbone",
    "pca": "Untrained backbone, PCA",
    "shuffled": "Shuffled labels",
}
#: What they are called where the backbone has weights.
FROZEN = {"untrained": "Frozen backbone", "pca": "Frozen backbone, PCA"}
#: Follows the name of a row whose weights were trained on more than ImageNet-1k.
MORE_DATA = "†"
_SUBSETS = {
    "": "",
    "seen": "seen digits",
    "unseen": "unseen digits",
    "view1": "pairs of View 1",
    "view2": "pairs of View 2",
}


def title(plan: Plan, experiment: str) -> str:
    """An experiment's title in one line, without a full stop; the name where it has none."""
    text = plan.benchmark.experiments[experiment].title
    return " ".join(text.split()).rstrip(".") or experiment


def methods(plan: Plan, experiment: str) -> dict[tuple[str, str, str], str]:
    """Every method of an experiment in short: loss + negatives + positives, random ones left out.

    No two methods have the same words: the values of a sweep, or the config's names of what
    differs, stand in brackets.
    """
    words = {m: base(plan, m) for m in plan.methods[experiment]}
    same = {text: [m for m in words if words[m] == text] for text in words.values()}
    return {m: text + _difference(plan, m, same[text]) for m, text in words.items()}


def _difference(plan: Plan, mine: tuple, same: list[tuple]) -> str:
    """What tells a method from others with the same words, in brackets."""
    if len(same) == 1:
        return ""
    bases = [plan.swept[m].base if m in plan.swept else m for m in same]
    origin = plan.swept[mine].base if mine in plan.swept else mine
    parts = [origin[i] for i in range(3) if len({b[i] for b in bases}) > 1]
    if mine in plan.swept:
        values = plan.swept[mine].settings.items()
        parts += [f"{key.split('.')[-1].replace('_', ' ')} {value}" for key, value in values]
    return f" ({', '.join(parts)})"


def base(plan: Plan, method: tuple[str, str, str]) -> str:
    """A method in words, without the value of its sweep."""
    spec = plan.samplers[method[2]]
    parts = [_loss(plan, plan.losses[method[1]])]
    for kind in ("negative", "positive"):
        if spec[kind]:
            name = spec[kind]["type"]
            parts.append(plan.class_facts(kind, name).get("label", name))
    if spec["miner"]:
        parts.append(spec["miner"]["type"].split(".")[-1])
    # One rule may choose both positives and negatives; its name is printed once.
    return " + ".join(dict.fromkeys(part for part in parts if part))


def _loss(plan: Plan, spec: dict) -> str:
    name = spec["type"]
    words = plan.class_facts("loss", name).get("label", name.split(".")[-1].removesuffix("Loss"))
    if name == "sum":
        return " + ".join(_loss(plan, inner) for inner in spec["losses"])
    if (each := spec.get("proxies_per_class", 1)) != 1:
        words += f" + EPS of {each} proxies"
    inner = spec.get("loss")
    return f"{words} {_loss(plan, inner)}" if isinstance(inner, dict) and "type" in inner else words


def legend(plan: Plan, experiment: str) -> str:
    """What the abbreviations in an experiment's methods mean."""
    known = {}
    for kind in ("negative", "positive"):
        for _, _, sampler in plan.methods[experiment]:
            if choice := plan.samplers[sampler][kind]:
                facts = plan.class_facts(kind, choice["type"])
                known[facts.get("label", "")] = facts.get("words", "")
    text = "; ".join(f"{label}: {words}" for label, words in known.items() if words != label)
    return f"{text}; other choices are random." if text else ""


def part(split: str, subset: str, label: str) -> str:
    """A part of a dataset in words."""
    where = _SUBSETS.get(subset, subset) or ("training classes" if split == "train" else "test")
    return f"{where}, {label}" if label and not subset else where


def class_name(plan: Plan, dataset: str, name: str) -> str:
    """A class as figures print it: of a user's own dataset unchanged, else without underscores."""
    return name if dataset in plan.benchmark.datasets else name.replace("_", " ")


def lines_of(plan: Plan, experiment: str) -> list[dict]:
    """The lines of an experiment's table: every method, then other models' vectors and controls.

    Keys: method (in words, marked where its weights were trained on more than ImageNet-1k), recipe,
    loss, sampler, control (its kind; empty for a method), planned (seeds) and pretraining (the data
    that its weights were trained on; empty for none).
    """
    seeds = len(plan.benchmark.seeds)
    found: list[tuple] = []
    for method, words in methods(plan, experiment).items():
        data = plan.recipes[method[0]].get("pretraining")
        found.append((words, *method, "", seeds, data))
    for kind, run in plan.controls[experiment].items():
        recipe, data = plan.recipes[run.recipe], None
        if run.features:
            given = plan.benchmark.features[run.features]
            words, data = given.title or run.features, given.pretraining
        else:
            words = FROZEN.get(kind) if recipe["weights"] != "none" else None
            data = recipe.get("pretraining") if run.loss != RANDOM else None
        found.append((words or CONTROLS[kind], *run.method, kind, 1, data))
    keys = ("method", *METHOD_KEYS, "control", "planned", "pretraining")
    lines = [dict(zip(keys, line, strict=True)) for line in found]
    for line in lines:
        data = line["pretraining"]
        line["pretraining"] = data or ""
        if data and data != "imagenet1k":
            line["method"] += f" {MORE_DATA}"
    return lines


def lines(plan: Plan) -> list[dict]:
    """The lines of all experiments, with the keys experiment and dataset."""
    return [
        {"experiment": name, "dataset": experiment.dataset} | line
        for name, experiment in plan.benchmark.experiments.items()
        for line in lines_of(plan, name)
    ]
