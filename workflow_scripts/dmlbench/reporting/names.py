"""Names of things as tables and figures print them."""

from dmlbench.config import Plan

_LOSSES = {"contrastive": "Contrastive", "triplet": "Triplet", "margin": "Margin"}
_NEGATIVES = {"semihard": "SH", "distance": "DW"}
_ABBREVIATIONS = {
    "SH": "semi-hard negatives",
    "DW": "distance-weighted negatives",
    "EPS": "easy positives",
}
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
    """A method in short: loss + negatives + EPS, parts that are random left out.

    Two methods of one experiment never get the same words: where they would, config names follow.
    """
    words = {m: _words(plan, *m) for m in plan.methods[experiment]}
    mine = words[(recipe, loss, sampler)]
    if list(words.values()).count(mine) > 1:
        return f"{mine} ({recipe}, {loss}, {sampler})"
    return mine


def _words(plan: Plan, recipe: str, loss: str, sampler: str) -> str:
    spec = plan.samplers[sampler]
    positive, negative = spec["positive"]["type"], spec["negative"]["type"]
    kind = plan.losses[loss]["type"]
    parts = [_LOSSES.get(kind, loss)]
    if negative != "random":
        parts.append(_NEGATIVES.get(negative, negative))
    if positive != "random":
        parts.append("EPS" if positive == "easy" else f"{positive} pos.")
    return " + ".join(parts)


def legend(methods: list[str]) -> str:
    """What the abbreviations in ``methods`` mean; without one, choices are random."""
    used = {part for method in methods for part in method.split(" + ")}
    known = [f"{short}: {words}" for short, words in _ABBREVIATIONS.items() if short in used]
    return f"{'; '.join(known)}; choices are random otherwise." if known else ""


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
