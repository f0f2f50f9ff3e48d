"""How tables print a metric, as the metric's own file says (:mod:`dmlbench.evaluation.metric`)."""

from dmlbench.config import Plan
from dmlbench.errors import DataError
from dmlbench.evaluation.metric import Measure, find_measure


def measure(metric: str, k: int = 0) -> Measure:
    """How to print a stored metric.

    Raises:
        DataError: No metric stores this name.
    """
    found = find_measure(metric, k)
    if found is None:
        raise DataError(f"no metric stores '{metric}'; measure the runs again")
    return found


def is_printed(plan: Plan, dataset: str, subset: str, metric: str) -> bool:
    """Whether a table of this part (a subset, or a verification protocol) has this metric."""
    found = find_measure(metric, of_pairs=subset in plan.facts(dataset).pairs)
    return found is not None and found.printed
