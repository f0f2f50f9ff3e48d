"""ROC curves of verification."""

from dmlbench import paths
from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.figures import register_figure


def _applies(plan: Plan, experiment: str) -> bool:
    return plan.verifies(plan.benchmark.experiments[experiment].dataset)


@register_figure(
    "Verification",
    applies=_applies,
    files=lambda plan, name: [(run, paths.ROC_FILE) for run in plan.experiment_runs(name)],
)
def roc(data):
    """Verification: the share of genuine pairs that are accepted against the share of impostors
    that are, mean over training seeds, with a band from the lowest to the highest seed. Only pairs
    of people whom training never saw are scored.
    """
    import numpy as np
    import pandas as pd

    from dmlbench.reporting.style import method_curves

    rates = np.geomspace(1e-3, 1, 61)
    curves = []
    found = data.of_runs(data.plan.experiment_runs(data.experiment), paths.ROC_FILE)
    for (method, _, view), curve in found.groupby(["method", "seed", "view"], sort=False):
        # The best that is reached without exceeding a rate: steps, nothing interpolated.
        reached = np.searchsorted(curve["far"], rates, side="right") - 1
        one = pd.DataFrame({"far": rates, "value": 100 * curve["tar"].to_numpy()[reached]})
        curves.append(one.assign(view=view, method=[method] * len(rates)))
    table = pd.concat(curves)
    table["part"] = [names.part("test", view, "") for view in table["view"]]
    axes = {"xscale": "log", "xlim": (1e-3, 1), "ylim": (None, 100)}
    labels = {"xlabel": "false accept rate", "ylabel": "true accept rate (%)"}
    figure = method_curves(data, table, "far", **axes, **labels)
    for axis in figure.axes:
        axis.xaxis.set_major_formatter("{x:g}")  # powers of ten are formulas otherwise
    return figure, data.over_seeds(table, "view", "method", "far")
