"""Recall@K against K."""

from dmlbench.config import Plan
from dmlbench.reporting.figures import recall_is_measured, register_figure


def _applies(plan: Plan, experiment: str) -> bool:
    several = len(plan.benchmark.evaluation.recall_at) > 1
    return several and recall_is_measured(plan, experiment)


@register_figure("Recall@K", applies=_applies, tables=("metrics",))
def recall_at_k(data):
    """Recall@K on each part of the test: mean over training seeds, with bars from the lowest to the
    highest seed.
    """
    from dmlbench.reporting.style import method_curves

    table = data.recalls()
    ks = sorted(table["k"].unique())
    labels = {"xlabel": "K", "ylabel": "Recall@K (%)", "xticks": range(len(ks)), "xticklabels": ks}
    table["place"] = table["k"].map(ks.index)
    figure = method_curves(data, table, "place", bars=True, **labels)
    return figure, data.over_seeds(table, "subset", "label", "method", "k")
