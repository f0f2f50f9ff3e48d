"""Recall@1 after each epoch."""

from dmlbench.config import Plan
from dmlbench.reporting import names
from dmlbench.reporting.figures import register_figure


def _applies(plan: Plan, experiment: str) -> bool:
    monitored = {"val", "test_max"} & set(plan.benchmark.selections)
    recipes = (plan.recipes[recipe] for recipe, _, _ in plan.methods[experiment])
    return bool(monitored) and any(recipe["epochs"] > 1 for recipe in recipes)


@register_figure("Recall@1 per epoch", applies=_applies, tables=("history",))
def recall_per_epoch(data):
    """Recall@1 after each epoch, on the test and on the held-out part of the training data: mean
    over training seeds, with a band from the lowest to the highest seed. The figure shows the
    course of the test; the tables say which epoch counts.
    """
    import pandas as pd

    from dmlbench.reporting.style import method_curves

    titles = {
        "recall_at_1_test_max": names.part(*data.test_parts()[0]),
        "recall_at_1_val": f"validation, {data.plan.facts(data.dataset).train_label}",
    }
    history = data.table("history")
    table = pd.concat(
        history.dropna(subset=[column]).assign(value=100 * history[column], part=words)
        for column, words in titles.items()
        if column in history
    )
    figure = method_curves(data, table, "epoch", xlabel="epoch", ylabel="Recall@1 (%)")
    for axis in figure.axes:
        axis.locator_params(axis="x", integer=True)
    return figure, data.over_seeds(table, "part", "method", "epoch")
