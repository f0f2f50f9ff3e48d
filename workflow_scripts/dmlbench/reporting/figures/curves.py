"""Curves, a line for each method: recall over epochs, K and a sweep's values; verification."""

from itertools import cycle

from dmlbench import paths
from dmlbench.config import Plan, Run
from dmlbench.reporting import names
from dmlbench.reporting.figures import recall_is_measured, register_figure

#: Swept keys as an axis says them, and what the values are multiplied with or added to.
SWEPT = {
    "sampler.per_class": ("other images of its class in an anchor's batch", 1, -1),
    "loss.trim": ("triplets trimmed (%)", 100, 0),
    "recipe.batch_size": ("images per batch", 1, 0),
    "recipe.embedding_dim": ("dimension of the embedding", 1, 0),
}


def swept_key(plan: Plan, experiment: str) -> str | None:
    """The first key of an experiment's sweep that is a quantity; None without one."""
    for key, values in plan.benchmark.experiments[experiment].sweep.items():
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        # The number of a fold is a name.
        if len(numbers) == len(values) > 1 and key != "recipe.test_fold":
            return key
    return None


def _has_epochs(plan: Plan, experiment: str) -> bool:
    monitored = {"val", "test_max"} & set(plan.benchmark.selections)
    recipes = (plan.recipes[recipe] for recipe, _, _ in plan.methods[experiment])
    return bool(monitored) and any(recipe["epochs"] > 1 for recipe in recipes)


def _has_several_k(plan: Plan, experiment: str) -> bool:
    several = len(plan.benchmark.evaluation.recall_at) > 1
    return several and recall_is_measured(plan, experiment)


def _has_sweep(plan: Plan, experiment: str) -> bool:
    return recall_is_measured(plan, experiment) and swept_key(plan, experiment) is not None


def _verifies(plan: Plan, experiment: str) -> bool:
    return plan.verifies(plan.benchmark.experiments[experiment].dataset)


def _curves(plan: Plan, experiment: str) -> list[tuple[Run, str]]:
    return [(run, paths.ROC_FILE) for run in plan.experiment_runs(experiment)]


@register_figure("Recall@1 per epoch", applies=_has_epochs, tables=("history",))
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


@register_figure("Recall@K", applies=_has_several_k, tables=("metrics",))
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


@register_figure("Recall@1 along the sweep", applies=_has_sweep, tables=("metrics",))
def sweep(data):
    """Recall@1 on each part of the test against the value that this experiment varies: mean over
    training seeds, with bars from the lowest to the highest seed.
    """
    from dmlbench.reporting.style import MARKERS, method_curves

    key = swept_key(data.plan, data.experiment)
    words, factor, offset = SWEPT.get(key, (key.partition(".")[2].replace("_", " "), 1, 0))
    table = data.recalls(data.smallest_k)
    origin = {method: data.plan.swept[method] for method in data.words}
    table[words] = [factor * origin[m].settings[key] + offset for m in table["method"]]
    # A sweep over several keys has a line for each combination of the other values.
    others = {
        m: (o.base, *(v for k, v in o.settings.items() if k != key)) for m, o in origin.items()
    }
    darkest = {line: method for method, line in others.items()}  # the last of each
    lines = {}
    for marker, ((_, *values), method) in zip(cycle(MARKERS), darkest.items(), strict=False):
        label = names.base(data.plan, method)
        label += f" ({', '.join(map(str, values))})" if values else ""
        lines[method] = data.styles[method] | {"label": label, "marker": marker}
    drawn = table.assign(method=[darkest[others[m]] for m in table["method"]])
    axes = {"xlabel": words, "ylabel": f"Recall@{data.smallest_k} (%)"}
    axes["xticks"] = sorted(table[words].unique())
    figure = method_curves(data, drawn, words, lines, bars=True, **axes)
    return figure, data.over_seeds(table, "subset", "label", "method", words)


@register_figure("Verification", applies=_verifies, files=_curves)
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
    for (method, _, protocol), curve in found.groupby(["method", "seed", "protocol"], sort=False):
        # The best that is reached without exceeding a rate: steps, nothing interpolated.
        reached = np.searchsorted(curve["far"], rates, side="right") - 1
        one = pd.DataFrame({"far": rates, "value": 100 * curve["tar"].to_numpy()[reached]})
        curves.append(one.assign(protocol=protocol, method=[method] * len(rates)))
    table = pd.concat(curves)
    table["part"] = [names.part("test", protocol, "") for protocol in table["protocol"]]
    axes = {"xscale": "log", "xlim": (1e-3, 1), "ylim": (None, 100)}
    labels = {"xlabel": "false accept rate", "ylabel": "true accept rate (%)"}
    figure = method_curves(data, table, "far", **axes, **labels)
    return figure, data.over_seeds(table, "protocol", "method", "far")
