"""How tables print a metric: its name, its unit, its digits, and which way is better."""

from dataclasses import dataclass

from dmlbench.config import Plan


@dataclass(frozen=True)
class Measure:
    """One metric.

    Attributes:
        words: Its name in a table's head.
        scale: What a stored value is multiplied by: 100 for percent.
        decimals: Digits after the point.
        higher: Whether more is better.
    """

    words: str
    scale: float = 100.0
    decimals: int = 1
    higher: bool = True


_RETRIEVAL = {
    "nmi": Measure("NMI"),
    "nmi_plus": Measure("NMI+"),
    "map_at_r": Measure("MAP@R"),
}
_VERIFICATION = {
    "verification_accuracy": Measure("accuracy"),
    "eer": Measure("EER", higher=False),
    "auc": Measure("AUC"),
    "d_prime": Measure("d′", scale=1.0, decimals=2),  # noqa: RUF001
}
#: Of ordinary parts tables print these, Recall@K first; the others stay in the collected metrics.
PRINTED = ("recall", "nmi", "nmi_plus")
_TAR = "tar_at_far_"


def measure(metric: str, k: int = 0) -> Measure:
    """How to print a metric."""
    if metric == "recall":
        return Measure(f"R@{k}")
    if metric.startswith(_TAR):
        return Measure(f"TAR@{float(metric.removeprefix(_TAR)):.2g}")
    return _RETRIEVAL.get(metric) or _VERIFICATION[metric]


def is_verification(plan: Plan, dataset: str, subset: str) -> bool:
    """Whether a part is a protocol of pairs."""
    return subset in plan.facts(dataset).pairs


def is_printed(plan: Plan, dataset: str, subset: str, metric: str) -> bool:
    """Whether a table of this part has this metric."""
    if is_verification(plan, dataset, subset):
        return metric in _VERIFICATION or metric.startswith(_TAR)
    return metric in PRINTED
