"""Names of things as tables and figures print them."""

from dmlbench.config import Plan
from dmlbench.config.catalogue import entry

_SELECTIONS = {
    "last": "last epoch",
    "val": "best on validation",
    "test_max": "best on test (papers' protocol)",
}
EPS = {False: "without EPS", True: "with EPS"}
THEORY_LOSSES = {
    "triplet": "Triplet",
    "margin": "Margin, β = α",  # noqa: RUF001
    "margin_learned": "Margin, β learned",
}
_SUBSETS = {"": "", "seen": "seen digits", "unseen": "unseen digits"}


def method(plan: Plan, recipe: str, loss: str, sampler: str, experiment: str) -> str:
    """A method in short: loss + negatives + positives, parts that are random left out.

    Two methods of one experiment never get the same words: where they would, the config names of
    what differs follow.
    """
    mine = (recipe, loss, sampler)
    words = {m: _words(plan, *m) for m in plan.methods[experiment]}
    same = [m for m in words if words[m] == words[mine]]
    different = [mine[i] for i in range(3) if len({m[i] for m in same}) > 1]
    return f"{words[mine]} ({', '.join(different)})" if different else words[mine]


def _words(plan: Plan, recipe: str, loss: str, sampler: str) -> str:
    spec = plan.samplers[sampler]
    parts = [_loss(plan.losses[loss])]
    for kind in ("negative", "positive"):
        if spec[kind]:
            parts.append(entry(kind, spec[kind]["type"]).facts.get("label", spec[kind]["type"]))
    if spec["miner"]:
        parts.append(spec["miner"]["type"].split(".")[-1])
    # Negatives and positives of one method have one name: semi-hard mining, say.
    return " + ".join(dict.fromkeys(part for part in parts if part))


def _loss(spec: dict) -> str:
    name = spec["type"]
    words = entry("loss", name).facts.get("label", name.split(".")[-1].removesuffix("Loss"))
    inner = spec.get("loss")
    return f"{words} {_loss(inner)}" if isinstance(inner, dict) and "type" in inner else words


def legend(plan: Plan, experiment: str) -> str:
    """What the abbreviations in an experiment's methods mean; without one, choices are random."""
    known = {}
    for kind in ("negative", "positive"):
        for _, _, sampler in plan.methods[experiment]:
            if choice := plan.samplers[sampler][kind]:
                facts = entry(kind, choice["type"]).facts
                known[facts.get("label", "")] = facts.get("words", "")
    text = "; ".join(f"{label}: {words}" for label, words in known.items() if words != label)
    return f"{text}; choices are random otherwise." if text else ""


def selection(name: str) -> str:
    """A selection in words."""
    return _SELECTIONS[name]


def part(split: str, subset: str, label: str) -> str:
    """A part of a dataset in words."""
    where = _SUBSETS.get(subset, subset) or ("training classes" if split == "train" else "test")
    return f"{where}, {label}" if label and not subset else where


def metric(name: str, k: int) -> str:
    """A metric in words: R@1, NMI, NMI+."""
    return {"recall": f"R@{k}", "nmi": "NMI", "nmi_plus": "NMI+"}[name]
